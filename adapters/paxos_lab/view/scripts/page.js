// Shows one step of one decision at a time, and maybe another decision beside it. All words come
// from the data; markup is made nowhere.

const PAUSE_MS = 1200; // between two steps, while it plays
const SETTLED_MS = 250; // after which the address follows: browsers bound how often it may
const COLUMNS = 4;

const slider = element("slider");
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const pane = new Pane(element("scroll"));
const other = new Pane(element("scroll2"));

let decision = 0;
let beside = selected("beside"); // the decision that is shown beside it
let place = 0; // of the step that is shown, from 0
let timer = null; // while it plays
let settling = null;
let pointed = null; // in the list of all steps, the one that is shown
let next = null; // what could happen after the step that is shown

// What a choice of decisions says: a place; null: nothing.
function selected(id) {
  const { value } = element(id);
  return value === "" ? null : Number(value);
}

const steps = () => data[decision].steps;
const parts = (which) => document.querySelectorAll(`[data-decision="${which}"]`);
const picture = (which) => document.querySelector(`.picture [data-decision="${which}"]`);

// --- what is shown -------------------------------------------------------------------------------

function choose(which) {
  if (beside === which) beside = decision;
  decision = which;
  element("decision").value = String(which);
  slider.max = String(steps().length);
  pane.scroller.append(picture(which));
  pane.choose(picture(which));
  lay();
  look();
}

// Another decision beside it.
function lay() {
  const { steps: one } = data[decision];
  const both = [decision, beside].map(String);
  for (const part of document.querySelectorAll("[data-decision]")) {
    const isShared = part.closest(".summary, .end, .picture") !== null;
    part.hidden = !both.slice(0, isShared ? 2 : 1).includes(part.dataset.decision);
  }
  element("beside").value = beside === null ? "" : String(beside);
  for (const it of element("beside").options) it.disabled = it.value === String(decision);
  element("other").hidden = beside === null;
  document.documentElement.classList.toggle("two", beside !== null);
  if (beside !== null) {
    other.scroller.append(picture(beside));
    other.choose(picture(beside));
    element("pictured2").textContent = `Beside it: ${element("beside").selectedOptions[0].text}`;
  }
  pane.resized();
  const marks = one.flatMap((step, at) => (step.chosen ? [[at, "chosen"]] : []));
  mark("marks", marks);
}

function mark(id, marks) {
  const last = Math.max(1, steps().length - 1);
  element(id).replaceChildren(...marks.map(([at, kind]) => {
    const it = made("span", "", kind);
    it.style.left = `${(100 * at) / last}%`;
    return it;
  }));
}

function show(where, behavior = "instant") {
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
  const said = data[decision].texts[step.now];
  element("now").replaceChildren(...said.map((it) => made("p", it)));
  for (const id of ["first", "back"]) disable(id, place === 0);
  for (const id of ["forward", "last"]) disable(id, place === count - 1);
  next = new Next(data[decision]);
  next.begin(step.step);
  tabulate();
  offer();
  pane.show(step.step, behavior);
  if (beside !== null) showBeside(behavior);
  point();
  countHits();
  clearTimeout(settling);
  settling = setTimeout(() => history.replaceState(null, "", address()), SETTLED_MS);
}

// Of the same run, what is beside it is at the same time; of another one, after as many steps.
function showBeside(behavior) {
  const it = data[beside];
  const at = it.run === data[decision].run ? placeOf(it, steps()[place].step)
    : Math.min(place, it.steps.length - 1);
  element("words2").textContent = at < 0 ? "Nothing yet." : it.steps[at].words;
  other.show(at < 0 ? 0 : it.steps[at].step, behavior);
}

// Not the real attribute: a button that has the focus would lose it.
function disable(id, isSo) {
  element(id).setAttribute("aria-disabled", String(isSo));
}

function tabulate() {
  const { lanes, ids } = data[decision];
  const { taken } = next;
  const before = taken.length === 0 ? looks(data[decision], place - 1)
    : next.over(looks(data[decision], place), taken.length - 1);
  const now = next.over(looks(data[decision], place), taken.length);
  const acting = (taken.at(-1) ?? steps()[place]).lane;
  const focused = document.activeElement?.dataset?.toggle;
  const rows = now.map((look, lane) => {
    const row = made("tr", "", lane === acting ? "acting" : "");
    row.classList.toggle("hides", servers.isHidden(ids[lane]));
    const head = made("th", lanes[lane]);
    head.scope = "row";
    if (lane === acting) head.append(made("span", " (its step)", "unseen"));
    row.append(head, ...held(look, before[lane]), toggles(lane));
    return row;
  });
  element("servers").replaceChildren(...rows);
  if (focused) document.querySelector(`[data-toggle="${focused}"]`)?.focus();
}

function held(look, before) {
  if (look !== null) return look.map((value, at) => changed(value, before && before[at]));
  const cell = made("td", before === null ? "not there" : "not there any more", "none");
  cell.colSpan = COLUMNS;
  return [cell];
}

function toggles(lane) {
  const { lanes, ids } = data[decision];
  const cell = made("td", "", "toggles");
  cell.append(...servers.toggles(ids[lane], lanes[lane], tabulate));
  [...cell.children].forEach((it, at) => { it.dataset.toggle = `${lane}.${at}`; });
  return cell;
}

// A cell says what it was, if it has changed.
function changed(value, was) {
  const cell = made("td");
  cell.append(value === "" ? made("span", "—", "none") : clipped(value));
  if (was !== null && was !== value) {
    cell.className = "changed";
    const small = made("small", was === "" ? "new" : "was ");
    if (was !== "") small.append(clipped(was));
    cell.append(small);
  }
  return cell;
}

// What is possible from here; what was taken of it did not happen, and all says so.
function offer() {
  const { taken, events } = next;
  const isElsewhere = taken.length > 0;
  element("next").classList.toggle("elsewhere", isElsewhere);
  element("return").hidden = !isElsewhere;
  element("now").parentElement.hidden = isElsewhere;
  element("unrecorded").replaceChildren(...taken.map((it) => made("li", it.words, it.chooses ? "chosen" : "")));
  element("possible").replaceChildren(...(events ?? []).map((it) => {
    const button = made("button", it.words, it.chooses ? "chosen" : "");
    button.type = "button";
    button.addEventListener("click", () => take(it));
    const item = made("li");
    item.append(button);
    return item;
  }));
  const most = data[decision].next.most.toLocaleString("en");
  element("bound").textContent = events === null
    ? `Not computed: a page holds ${most} such events of a decision, those after the last steps first.`
    : events.length === 0 ? "Nothing." : "";
}

function take(event) {
  pause();
  next.take(event);
  const count = next.taken.length;
  const after = `after step ${steps()[place].step}`;
  element("at").textContent = `Not recorded: ${count === 1 ? "what could happen" : `${count} events`} ${after}`;
  element("words").textContent = event.words;
  element("words").classList.toggle("chosen", event.chooses);
  tabulate();
  offer();
  element("return").focus();
}

function point() {
  pointed?.removeAttribute("aria-current");
  const list = document.querySelector(`#all [data-decision="${decision}"] ol`);
  pointed = list.children[place].firstElementChild;
  pointed.setAttribute("aria-current", "step");
}

// --- search --------------------------------------------------------------------------------------

function look() {
  const hits = search.ask(steps(), element("asked").value);
  mark("hits", hits.length > 500 ? [] : hits.map((it) => [it, "hit"]));
  const list = document.querySelector(`#all [data-decision="${decision}"] ol`);
  for (const it of list.querySelectorAll(".hit")) it.classList.remove("hit");
  for (const it of hits) list.children[it].className = "hit";
  countHits();
}

function countHits() {
  const asked = element("asked").value.trim();
  const here = search.isHit(place) ? `${search.nth(place).toLocaleString("en")} of ` : "";
  element("found").textContent = asked === "" ? ""
    : search.count === 0 ? "no step" : `${here}${search.count.toLocaleString("en")}`;
  for (const id of ["earlier", "later"]) disable(id, search.count === 0);
}

function leap(by) {
  const next = search.from(place, by);
  if (next !== null) go(next);
}

// --- time ----------------------------------------------------------------------------------------

function play() {
  if (timer !== null) return pause();
  if (place === steps().length - 1) show(0);
  element("play").setAttribute("aria-label", "Pause");
  element("play").classList.add("playing");
  document.documentElement.classList.add("plays");
  tick();
}

function tick() {
  timer = setTimeout(() => {
    show(place + 1, calm.matches ? "instant" : "smooth");
    if (place < steps().length - 1) tick();
    else pause();
  }, PAUSE_MS);
}

function pause() {
  clearTimeout(timer);
  timer = null;
  element("play").setAttribute("aria-label", "Play");
  element("play").classList.remove("playing");
  document.documentElement.classList.remove("plays");
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

// Leads to the step that is asked for, or the next one of its decision; to the first of interest,
// if to none. The address stays as it is: a late change would be one of where "back" leads.
function follow() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const which = data.findIndex((it) => it.name === asked.get("decision"));
  pause();
  choose(which >= 0 ? which : decision);
  const step = Number(asked.get("step") || NaN);
  const where = steps().findIndex((it) => it.step >= step);
  show(where >= 0 ? where : data[decision].opens);
  clearTimeout(settling);
}

// --- keys, clicks --------------------------------------------------------------------------------

const KEYS = {
  ArrowLeft: () => go(place - 1),
  ArrowRight: () => go(place + 1),
  Home: () => go(0),
  End: () => go(steps().length - 1),
  " ": play,
  "/": () => element("asked").focus(),
  n: () => leap(1),
  N: () => leap(-1),
  "+": () => pane.zoom(1),
  "-": () => pane.zoom(-1),
  "0": () => pane.fit(),
  "?": () => element("help").showModal(),
};

function pressed(event) {
  const { key, target } = event;
  const isOurs = Object.hasOwn(KEYS, key) && element("listens").checked;
  if (!isOurs || element("help").open || event.ctrlKey || event.altKey || event.metaKey) return;
  if (target.closest("select, [type=search]")) return;
  if (key === " " && target.closest("button, a, summary")) return;
  event.preventDefault();
  KEYS[key]();
}

function asking(event) {
  if (event.key === "Enter") leap(event.shiftKey ? -1 : 1);
  if (event.key === "Escape" && event.target.value === "") event.target.blur();
}

function clicked(event) {
  const it = event.target.closest("[data-step]");
  const own = it ? it.closest("[data-decision]").dataset.decision : "";
  if (own !== String(decision)) return;
  const where = steps().findIndex((step) => String(step.step) === it.dataset.step);
  if (where >= 0) go(where);
}

function clicks(actions) {
  for (const [id, action] of Object.entries(actions)) {
    element(id).addEventListener("click", action);
  }
}

clicks({
  first: KEYS.Home,
  back: KEYS.ArrowLeft,
  play,
  forward: KEYS.ArrowRight,
  last: KEYS.End,
  ask: KEYS["?"],
  later: KEYS.n,
  earlier: KEYS.N,
  larger: KEYS["+"],
  smaller: KEYS["-"],
  fitted: KEYS["0"],
  return: () => {
    go(place);
    element("forward").focus();
  },
  scroll: clicked,
});
element("decision").addEventListener("change", (event) => {
  choose(Number(event.target.value));
  go(data[decision].opens);
});
element("beside").addEventListener("change", () => {
  beside = selected("beside");
  lay();
  show(place);
});
element("asked").addEventListener("input", look);
element("asked").addEventListener("keydown", asking);
slider.addEventListener("input", () => go(Number(slider.value) - 1));
document.addEventListener("keydown", pressed);
addEventListener("hashchange", follow);
addEventListener("beforeprint", () => {
  element("all").open = true;
  for (const it of [pane, other]) it.print(true);
});
addEventListener("afterprint", () => {
  for (const it of [pane, other]) it.print(false);
});

element("choose").hidden = data.length === 1;
for (const id of ["controls", "search", "zooms", "moment", "knowledge", "next"]) element(id).hidden = false;
for (const it of document.querySelectorAll(".summary p, .end p")) {
  if (it.textContent.length > 200) {
    it.classList.add("long");
    it.tabIndex = 0;
  }
}
document.documentElement.classList.add("led");
follow();
