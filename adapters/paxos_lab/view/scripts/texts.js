// What the page was given: decisions, their steps, and what is said and held after each.

const element = (id) => document.getElementById(id);
const data = JSON.parse(element("data").textContent);

function made(name, text = "", kind = "") {
  const it = document.createElement(name);
  it.textContent = text;
  if (kind) it.className = kind;
  return it;
}

// A text that may be long: cut off, and shown whole to the one who asks.
function clipped(text, name = "bdi") {
  const it = made(name, text);
  if (text.length > 40) {
    it.className = "long";
    it.tabIndex = 0;
  }
  return it;
}

for (const decision of data) {
  // Each text says only in what it differs from the one before.
  let last = [];
  decision.texts = decision.texts.map(([head, tail, between]) => {
    last = [...last.slice(0, head), ...between, ...last.slice(last.length - tail)];
    return last;
  });
  // By lane: the places of its steps, so that what it holds is found without going through all.
  decision.byLane = decision.lanes.map(() => []);
  decision.steps.forEach((step, place) => decision.byLane[step.lane].push(place));
}

// The first of sorted numbers for which it is true that it is greater than one.
function above(sorted, one) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] > one) high = middle;
    else low = middle + 1;
  }
  return low;
}

// What each lane holds after the step at a place; at -1, before the first.
function looks(decision, place) {
  return decision.byLane.map((places, lane) => {
    const at = above(places, place) - 1;
    return at < 0 ? decision.before[lane] : decision.steps[places[at]].look;
  });
}

// The place of the last step that is not after a step of that number; -1, if there is none.
function placeOf(decision, step) {
  let [low, high] = [0, decision.steps.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (decision.steps[middle].step > step) high = middle;
    else low = middle + 1;
  }
  return low - 1;
}
