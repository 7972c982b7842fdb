// What could have happened next, taken by clicks. All of it was computed beforehand, by the core.

class Next {
  constructor(decision) {
    Object.assign(this, { decision, taken: [] });
  }

  // Back to the recording, after a step of that number.
  begin(step) {
    this.taken = [];
    this.place = this.decision.next.after[step] ?? null;
  }

  get events() {
    const { places, words, looks: held } = this.decision.next;
    if (this.place === null) return null;
    return places[this.place].map(([me, said, look, chooses, place]) => ({
      lane: this.decision.ids.indexOf(me), words: words[said], look: held[look], chooses, place,
    }));
  }

  take(event) {
    this.taken.push(event);
    this.place = event.place;
  }

  // What each lane holds after the first of what was taken.
  over(held, count) {
    const found = [...held];
    for (const it of this.taken.slice(0, count)) found[it.lane] = it.look;
    return found;
  }
}
