// The window of time the transport shows, as numbers: zooming and moving it.

export const SHORTEST = 1000;  // ms

/** Return [t0, t1] zoomed by `factor` around `around`, kept within the recording. */
export function zoomed([t0, t1], factor, around, [first, last]) {
  const whole = Math.max(last - first, SHORTEST);
  const span = Math.min(whole, Math.max(SHORTEST, (t1 - t0) * factor));
  const middle = t1 > t0 ? (around - t0) / (t1 - t0) : 0.5;
  return within([around - span * middle, around - span * middle + span], [first, last]);
}

/** Return a window of the same length that lies within the recording. */
export function within([t0, t1], [first, last]) {
  const span = t1 - t0, start = Math.max(first, Math.min(t0, Math.max(first, last - span)));
  return [Math.floor(start), Math.ceil(start + span)];
}

/** Return a window as the address has it: "ms..ms". */
export const text = ([t0, t1]) => `${Math.floor(t0)}..${Math.ceil(t1)}`;
