// Search: steps in whose words all that is asked for occurs, a server, a message, a ballot or a
// value. `S1` is no part of `S12`, nor `4.5` of `14.5`: whole words count, unless none is found.

const search = (() => {
  let found = [];

  function hits(steps, asked) {
    const terms = asked.toLowerCase().split(/\s+/).filter(Boolean);
    if (terms.length === 0) return [];
    const all = (test) => steps.flatMap((step, place) => {
      const words = step.words.toLowerCase();
      return terms.every((term) => test(words, term)) ? [place] : [];
    });
    const whole = all(isWhole);
    return whole.length ? whole : all((words, term) => words.includes(term));
  }

  function isWhole(words, term) {
    const isPart = (it) => it !== undefined && /[\p{L}\p{N}]/u.test(it);
    for (let at = words.indexOf(term); at >= 0; at = words.indexOf(term, at + 1)) {
      const end = at + term.length;
      const goesOn = words[end] === "." && isPart(words[end + 1]);
      if (!isPart(words[at - 1]) && words[at - 1] !== "." && !isPart(words[end]) && !goesOn) return true;
    }
    return false;
  }

  return {
    ask(steps, asked) {
      found = hits(steps, asked);
      return found;
    },
    // The hit after a place, or before it; around the ends.
    from(place, by) {
      if (found.length === 0) return null;
      const next = by > 0 ? found.find((it) => it > place) : found.findLast((it) => it < place);
      return next ?? found.at(by > 0 ? 0 : -1);
    },
    isHit: (place) => found[above(found, place - 1)] === place,
    get count() {
      return found.length;
    },
    nth: (place) => above(found, place),
  };
})();
