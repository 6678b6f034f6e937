/** Return a function that calls `act` at once, then at most every `ms`, the last call never lost. */
export function paced(ms, act, clock = { now: () => performance.now(), later: (f, t) => setTimeout(f, t) }) {
  let last = -Infinity, waiting = false;
  return function call() {
    if (waiting) return;
    const left = last + ms - clock.now();
    if (left <= 0) {
      last = clock.now();
      act();
      return;
    }
    waiting = true;
    clock.later(() => { waiting = false; last = clock.now(); act(); }, left);
  };
}
