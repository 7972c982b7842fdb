// A pane with pictures in strips. What is out of sight is no part of the document: a strip is put
// there and brought up to date once it comes into sight, so that a step costs the same in a long run
// as in a short one.
//
// Where the pane is scrolled to and how wide it is are kept here. To ask the browser for it lays out
// the page, so a jump that asks, draws and asks again lays it out three times.

const SCALES = [0.25, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.15, 1.3, 1.5, 2, 3];
const READABLE = 0.72; // smaller letters than these are for who asks for them
const LARGEST = 1.5; // of a picture that is fitted
const narrow = matchMedia("(max-width: 56rem), (max-height: 30rem)"); // as in the style
const AHEAD_PX = 200; // beyond the edges of the pane, what is kept up to date

class Strip {
  constructor(box, left, width) {
    Object.assign(this, { box, left, width, shown: null, drawn: null });
    this.svg = box.firstElementChild;
    this.svg.remove();
  }

  // What belongs to steps, by step: looked for once it is in sight, and not before.
  find() {
    this.drawn = [...this.svg.querySelectorAll("[data-step]")].map((it) => {
      const at = Number(it.dataset.step);
      return { it, at, from: it.dataset.from ? Number(it.dataset.from) : at };
    });
  }

  show(now) {
    if (this.shown === now) return;
    if (this.drawn === null) this.find();
    const before = this.shown;
    for (const { it, at, from } of this.drawn) {
      const state = from > now ? "ahead" : now < at ? "flying" : at === now ? "here" : "";
      const was = before === null ? null
        : from > before ? "ahead" : before < at ? "flying" : at === before ? "here" : "";
      if (state === was) continue;
      if (was) it.classList.remove(was);
      if (state) it.classList.add(state);
    }
    this.shown = now;
  }
}

// What is drawn of a decision: it may be moved from pane to pane, and is read once. Sizes are those
// of the markup: to ask the browser for them would lay out all of it.
const sheets = new Map();

function sheetOf(picture) {
  if (!sheets.has(picture)) sheets.set(picture, read(picture));
  return sheets.get(picture);
}

function read(picture) {
  const sheet = picture.querySelector(".sheet");
  const size = (it, name) => parseFloat(it.style.getPropertyValue(name));
  let left = 0;
  const strips = [...sheet.querySelectorAll(".strip")].map((box) => {
    const strip = new Strip(box, left, size(box, "--w"));
    left += strip.width;
    return strip;
  });
  const places = new Map(); // by step: where it is drawn, once one was looked for
  const attached = []; // strips that are part of the document
  return { sheet, strips, attached, places, wide: size(sheet, "--wide"), high: size(sheet, "--high") };
}

class Pane {
  constructor(scroller) {
    this.scroller = scroller;
    this.scale = 1;
    this.isFitted = true;
    this.isPrinted = false;
    this.now = 0;
    this.current = null;
    Object.assign(this, { left: 0, width: 0, height: 0 }); // of the pane, in its own pixels
    scroller.addEventListener("scroll", () => this.update(scroller.scrollLeft), { passive: true });
    new ResizeObserver(() => this.resized()).observe(scroller);
  }

  choose(picture) {
    this.current = sheetOf(picture);
    this.resized();
  }

  resized() {
    if (this.current === null) return;
    const { clientWidth: width, clientHeight: height, scrollLeft: left } = this.scroller;
    Object.assign(this, { width, height });
    if (this.isFitted) {
      const { sheet, wide, high } = this.current;
      const below = [...sheet.parentElement.querySelectorAll(".key, .verdict")];
      const room = height - below.reduce((sum, it) => sum + it.offsetHeight + 12, 0);
      const fits = Math.max(Math.min(room / high, 1), Math.min(room / high, width / wide));
      this.scale = narrow.matches ? 0.75 : Math.min(LARGEST, Math.max(READABLE, fits));
    }
    this.scroller.style.setProperty("--scale", this.scale);
    this.update(left);
  }

  zoom(by) {
    const next = by > 0 ? SCALES.find((it) => it > this.scale + 0.01)
      : SCALES.findLast((it) => it < this.scale - 0.01);
    if (next === undefined) return;
    this.isFitted = false;
    this.scale = next;
    this.resized();
    this.reveal();
  }

  fit() {
    this.isFitted = true;
    this.resized();
    this.reveal();
  }

  show(now, behavior) {
    this.now = now;
    this.reveal(behavior);
  }

  // On paper, all is in sight.
  print(isPrinted) {
    this.isPrinted = isPrinted;
    this.update(this.left);
  }

  // What is in sight where the pane is scrolled to left.
  update(left) {
    if (this.current === null) return;
    this.left = left;
    const first = (left - AHEAD_PX) / this.scale;
    const last = (left + this.width + AHEAD_PX) / this.scale;
    const { strips, attached } = this.current;
    const seen = this.isPrinted ? strips
      : strips.filter((it) => it.left + it.width >= first && it.left <= last);
    for (const it of attached) if (!seen.includes(it)) it.svg.remove();
    for (const it of seen) {
      it.show(this.now);
      if (!attached.includes(it)) it.box.append(it.svg);
    }
    this.current.attached = seen;
    this.scroller.classList.toggle("atstart", left < 12);
  }

  // Where a step is drawn: not every step is, then it is the next one that is.
  find(step) {
    const { strips, places } = this.current;
    if (places.size === 0) {
      for (const strip of strips) {
        for (const it of strip.svg.querySelectorAll(".moment")) {
          const rect = it.querySelector("rect, circle");
          const x = rect.localName === "rect"
            ? Number(rect.getAttribute("x")) + Number(rect.getAttribute("width")) / 2
            : Number(rect.getAttribute("cx"));
          const y = rect.localName === "rect"
            ? Number(rect.getAttribute("y")) + Number(rect.getAttribute("height")) / 2
            : Number(rect.getAttribute("cy"));
          places.set(Number(it.dataset.step), { x, y });
        }
      }
      this.current.order = [...places.keys()].sort((a, b) => a - b);
    }
    const { order } = this.current;
    if (order.length === 0) return null;
    return places.get(order[Math.min(above(order, step - 1), order.length - 1)]);
  }

  // Scrolls to the step. What is in sight there is drawn before, and nothing on the way.
  reveal(behavior = "instant") {
    const place = this.find(this.now);
    const { scroller, scale, width, height, current } = this;
    if (place === null) return this.update(this.left);
    const most = Math.max(0, current.wide * scale - width);
    const left = Math.min(Math.max(place.x * scale - width / 2, 0), most);
    this.update(behavior === "instant" ? left : this.left);
    scroller.scrollTo({ left, top: place.y * scale - height / 2, behavior });
  }
}
