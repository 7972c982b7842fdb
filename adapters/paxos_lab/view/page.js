// Shows one step of one decision at a time. All words come from the data; markup is made nowhere.
"use strict";
(() => {
  const PAUSE_MS = 1200; // between two steps, while it plays
  const SETTLED_MS = 250; // after which the address follows: browsers bound how often it may
  const COLUMNS = ["promised", "accepted", "asks for", "knows"];

  const element = (id) => document.getElementById(id);
  const data = JSON.parse(element("data").textContent);
  const slider = element("slider");
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  let decision = 0;
  let place = 0; // of the step that is shown, from 0
  let timer = null; // while it plays
  let settling = null;

  const steps = () => data[decision].steps;
  const parts = (which) => document.querySelectorAll(`[data-decision="${which}"]`);

  function made(name, text = "", kind = "") {
    const it = document.createElement(name);
    it.textContent = text;
    if (kind) it.className = kind;
    return it;
  }

  // --- what is shown ---------------------------------------------------------------------------

  function choose(which) {
    decision = which;
    for (const part of document.querySelectorAll("[data-decision]")) {
      part.hidden = part.dataset.decision !== String(which);
    }
    element("decision").value = String(which);
    slider.max = String(steps().length);
    const marks = steps().flatMap((step, at) => (step.chosen ? [at] : []));
    element("marks").replaceChildren(...marks.map((at) => {
      const mark = made("span");
      mark.style.left = `${(100 * at) / Math.max(1, steps().length - 1)}%`;
      return mark;
    }));
  }

  function show(where) {
    place = Math.min(Math.max(where, 0), steps().length - 1);
    const step = steps()[place];
    const count = steps().length;
    const isPlain = steps()[0].step === 1 && steps()[count - 1].step === count;
    slider.value = String(place + 1);
    slider.setAttribute("aria-valuetext", `${place + 1} of ${count}`);
    element("place").textContent = `${place + 1} / ${count}`;
    element("at").textContent =
      (isPlain ? `Step ${step.step}` : `Step ${step.step} (${place + 1} of ${count})`) +
      (step.time ? `, after ${step.time}` : "");
    element("words").textContent = step.words;
    element("words").classList.toggle("chosen", step.chosen);
    element("now").replaceChildren(...data[decision].texts[step.now].map((it) => made("p", it)));
    for (const id of ["first", "back"]) disable(id, place === 0);
    for (const id of ["forward", "last"]) disable(id, place === count - 1);
    tabulate();
    draw(step.step);
    point(step.step);
    clearTimeout(settling);
    settling = setTimeout(() => history.replaceState(null, "", address()), SETTLED_MS);
  }

  // Not the real attribute: a button that has the focus would lose it.
  function disable(id, isSo) {
    element(id).setAttribute("aria-disabled", String(isSo));
  }

  function looks(until) {
    const found = data[decision].lanes.map(() => null);
    for (const step of steps().slice(0, until)) found[step.lane] = step.look;
    return found;
  }

  function tabulate() {
    const before = looks(place);
    const acting = steps()[place].lane;
    const rows = looks(place + 1).map((look, lane) => {
      const row = made("tr", "", lane === acting ? "acting" : "");
      const head = made("th", data[decision].lanes[lane]);
      head.scope = "row";
      if (lane === acting) head.append(made("span", " (its step)", "unseen"));
      row.append(head);
      if (look === null) {
        const cell = made("td", before[lane] === null ? "not there" : "not there any more", "none");
        cell.colSpan = COLUMNS.length;
        row.append(cell);
      } else {
        row.append(...look.map((value, at) => held(value, before[lane] && before[lane][at])));
      }
      return row;
    });
    element("servers").replaceChildren(...rows);
  }

  // A cell says what it was, if it has changed.
  function held(value, was) {
    const cell = made("td");
    cell.append(value === "" ? made("span", "—", "none") : made("bdi", value));
    if (was !== null && was !== value) {
      cell.className = "changed";
      const small = made("small", was === "" ? "new" : "was ");
      if (was !== "") small.append(made("bdi", was));
      cell.append(small);
    }
    return cell;
  }

  function draw(now) {
    const [picture] = element("scroll").querySelectorAll(`[data-decision="${decision}"]`);
    const drawn = [...picture.querySelectorAll("[data-step]")];
    for (const it of drawn) {
      const at = Number(it.dataset.step);
      const from = it.dataset.from ? Number(it.dataset.from) : at;
      it.classList.toggle("ahead", from > now);
      it.classList.toggle("flying", from <= now && now < at);
      it.classList.toggle("here", at === now);
    }
    // Not every step is drawn: then it is the next one that is.
    const moments = drawn.filter((it) => it.matches(".moment"));
    const next = moments.filter((it) => Number(it.dataset.step) >= now);
    const step = Math.min(...next.map((it) => Number(it.dataset.step)));
    const [target] = next.filter((it) => Number(it.dataset.step) === step).concat(moments.slice(-1));
    if (target) reveal(target);
  }

  function reveal(target) {
    const [box, pane] = [target, element("scroll")].map((it) => it.getBoundingClientRect());
    element("scroll").scrollBy({
      left: box.left + box.width / 2 - (pane.left + pane.width / 2),
      top: box.top + box.height / 2 - (pane.top + pane.height / 2),
      behavior: calm.matches || timer === null ? "instant" : "smooth",
    });
  }

  // The names of the lanes stay in sight while the picture is scrolled.
  function label() {
    for (const sheet of document.querySelectorAll(".sheet")) {
      const names = [...sheet.querySelectorAll(".lane > text:first-of-type")].map((it) => {
        const name = made("span", it.textContent);
        name.style.top = `calc(${Number(it.getAttribute("y")) - 6}px * var(--scale))`;
        return name;
      });
      const lanes = made("div", "", "lanes");
      lanes.setAttribute("aria-hidden", "true");
      lanes.append(...names);
      sheet.prepend(lanes);
    }
  }

  function point(now) {
    for (const it of document.querySelectorAll("#all [aria-current]")) {
      it.removeAttribute("aria-current");
    }
    for (const part of parts(decision)) {
      const link = part.querySelector(`li[value="${now}"] a`);
      if (link) link.setAttribute("aria-current", "step");
    }
  }

  // --- time --------------------------------------------------------------------------------------

  function play() {
    if (timer !== null) return pause();
    if (place === steps().length - 1) show(0);
    element("play").setAttribute("aria-label", "Pause");
    element("play").classList.add("playing");
    tick();
  }

  function tick() {
    timer = setTimeout(() => {
      show(place + 1);
      if (place < steps().length - 1) tick();
      else pause();
    }, PAUSE_MS);
  }

  function pause() {
    clearTimeout(timer);
    timer = null;
    element("play").setAttribute("aria-label", "Play");
    element("play").classList.remove("playing");
  }

  function go(where) {
    pause();
    show(where);
  }

  // --- the address ---------------------------------------------------------------------------------

  function address() {
    const asked = new URLSearchParams();
    if (data.length > 1) asked.set("decision", data[decision].name);
    asked.set("step", steps()[place].step);
    return `#${asked}`;
  }

  // Leads to the step that is asked for, or the next one of its decision; to the last, if to none.
  function follow() {
    const asked = new URLSearchParams(location.hash.slice(1));
    const which = data.findIndex((it) => it.name === asked.get("decision"));
    pause();
    choose(which >= 0 ? which : decision);
    const step = Number(asked.get("step") || NaN);
    const where = steps().findIndex((it) => it.step >= step);
    show(where >= 0 ? where : steps().length - 1);
  }

  // --- keys, clicks --------------------------------------------------------------------------------

  const KEYS = {
    ArrowLeft: () => go(place - 1),
    ArrowRight: () => go(place + 1),
    Home: () => go(0),
    End: () => go(steps().length - 1),
    " ": play,
    "?": () => element("help").showModal(),
  };

  function pressed(event) {
    const { key, target } = event;
    const isOurs = Object.hasOwn(KEYS, key) && element("listens").checked;
    if (!isOurs || element("help").open || event.ctrlKey || event.altKey || event.metaKey) return;
    if (target.closest("select")) return;
    if (key === " " && target.closest("button, a, summary")) return;
    event.preventDefault();
    KEYS[key]();
  }

  function scrolled() {
    element("scroll").classList.toggle("atstart", element("scroll").scrollLeft < 12);
  }

  function clicked(event) {
    const it = event.target.closest("[data-step]");
    const where = it ? steps().findIndex((step) => String(step.step) === it.dataset.step) : -1;
    if (where >= 0) go(where);
  }

  element("first").addEventListener("click", () => go(0));
  element("back").addEventListener("click", () => go(place - 1));
  element("play").addEventListener("click", play);
  element("forward").addEventListener("click", () => go(place + 1));
  element("last").addEventListener("click", () => go(steps().length - 1));
  element("ask").addEventListener("click", KEYS["?"]);
  element("scroll").addEventListener("click", clicked);
  element("scroll").addEventListener("scroll", scrolled, { passive: true });
  element("decision").addEventListener("change", (event) => {
    choose(Number(event.target.value));
    go(steps().length - 1);
  });
  slider.addEventListener("input", () => go(Number(slider.value) - 1));
  document.addEventListener("keydown", pressed);
  addEventListener("hashchange", follow);
  addEventListener("beforeprint", () => { element("all").open = true; });

  element("choose").hidden = data.length === 1;
  for (const id of ["controls", "moment", "knowledge"]) element(id).hidden = false;
  document.documentElement.classList.add("led");
  label();
  follow();
  scrolled();
})();
