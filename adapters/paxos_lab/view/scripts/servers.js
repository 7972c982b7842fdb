// Servers that are hidden or stand out, in the picture and in the table. Rules of style do it for
// all that belongs to a lane, whatever there is of it.

const servers = (() => {
  const rules = document.head.appendChild(made("style")).sheet;
  const states = new Map(); // by lane: "hidden", or "lit"

  function change(lane, state) {
    if (states.get(lane) === state) states.delete(lane);
    else states.set(lane, state);
    while (rules.cssRules.length) rules.deleteRule(0);
    const of = (which) => [...states].filter(([, it]) => it === which).map(([it]) => it);
    for (const it of of("hidden")) {
      rules.insertRule(`.picture [data-lanes~="${it}"] { display: none; }`);
    }
    const lit = of("lit").map((it) => `[data-lanes~="${it}"]`).join(", ");
    if (lit) rules.insertRule(`.picture [data-lanes]:not(${lit}) { opacity: .22; }`);
  }

  function toggle(lane, name, state, label, sign, done) {
    const it = made("button", sign, "toggle");
    it.type = "button";
    it.setAttribute("aria-pressed", String(states.get(lane) === state));
    it.setAttribute("aria-label", `${label} ${name}`);
    it.title = label;
    it.addEventListener("click", () => {
      change(lane, state);
      done();
    });
    return it;
  }

  return {
    isHidden: (lane) => states.get(lane) === "hidden",
    toggles: (lane, name, done) => [
      toggle(lane, name, "lit", "Highlight", "◎", done),
      toggle(lane, name, "hidden", "Hide", "⊘", done),
    ],
  };
})();
