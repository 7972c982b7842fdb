// A pane with pictures in strips. What is out of sight is no part of the document: a strip is put
// there and brought up to date once it comes into sight, so that a step costs the same in a long run
// as in a short one.

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

  attach(isSeen) {
    if (isSeen === this.svg.isConnected) return;
    if (isSeen) this.box.append(this.svg);
    else this.svg.remove();
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

class Pane {
  constructor(scroller) {
    this.scroller = scroller;
    this.sheets = new Map();
    this.scale = 1;
    this.isFitted = true;
    this.isPrinted = false;
    this.now = 0;
    this.current = null;
    scroller.addEventListener("scroll", () => this.update(), { passive: true });
    new ResizeObserver(() => this.resized()).observe(scroller);
  }

  choose(picture) {
    if (!this.sheets.has(picture)) this.sheets.set(picture, this.read(picture));
    this.current = this.sheets.get(picture);
    this.resized();
  }

  // Sizes are those of the markup: to ask the browser for them would lay out all of it.
  read(picture) {
    const sheet = picture.querySelector(".sheet");
    const size = (it, name) => parseFloat(it.style.getPropertyValue(name));
    let left = 0;
    const strips = [...sheet.querySelectorAll(".strip")].map((box) => {
      const strip = new Strip(box, left, size(box, "--w"));
      left += strip.width;
      return strip;
    });
    const lanes = [...sheet.querySelectorAll(".lanes span")].map((it) => size(it, "--y"));
    const places = new Map(); // by step: which strip, if it was looked for
    return { sheet, strips, lanes, places, wide: size(sheet, "--wide"), high: size(sheet, "--high") };
  }

  resized() {
    if (this.current === null) return;
    if (this.isFitted) {
      const { sheet, wide, high } = this.current;
      const { clientWidth, clientHeight } = this.scroller;
      const below = [...sheet.parentElement.querySelectorAll(".key, .verdict")];
      const room = clientHeight - below.reduce((sum, it) => sum + it.offsetHeight + 12, 0);
      const fits = Math.max(Math.min(room / high, 1), Math.min(room / high, clientWidth / wide));
      this.scale = narrow.matches ? 0.75 : Math.min(LARGEST, Math.max(READABLE, fits));
    }
    this.scroller.style.setProperty("--scale", this.scale);
    this.update();
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

  show(now) {
    this.now = now;
    this.update();
  }

  // On paper, all is in sight.
  print(isPrinted) {
    this.isPrinted = isPrinted;
    this.update();
  }

  update() {
    const { scroller, scale, current } = this;
    if (current === null) return;
    const left = scroller.scrollLeft - AHEAD_PX;
    const right = scroller.scrollLeft + scroller.clientWidth + AHEAD_PX;
    for (const strip of current.strips) {
      const isSeen = (strip.left + strip.width) * scale >= left && strip.left * scale <= right;
      if (isSeen || this.isPrinted) strip.show(this.now);
      strip.attach(isSeen || this.isPrinted);
    }
    scroller.classList.toggle("atstart", scroller.scrollLeft < 12);
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

  reveal(behavior = "instant") {
    const place = this.find(this.now);
    if (place === null) return;
    const { scroller, scale } = this;
    scroller.scrollTo({
      left: place.x * scale - scroller.clientWidth / 2,
      top: place.y * scale - scroller.clientHeight / 2,
      behavior,
    });
    this.update();
  }
}
