// Positions to times and back without a request: pairs of both, and straight lines in between.

/** Read "position,ms;position,ms;…" into pairs, rising in both. */
export function read(text) {
  return text ? text.split(";").map((pair) => pair.split(",").map(Number)) : [];
}

/** Return the time at a position, or (from = 1, to = 0) the position at a time; NaN without anchors. */
export function between(anchors, value, from = 0, to = 1) {
  if (!anchors.length) return NaN;
  if (value <= anchors[0][from]) return anchors[0][to];
  let low = 0, high = anchors.length - 1;
  if (value >= anchors[high][from]) return anchors[high][to];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (anchors[middle][from] <= value) low = middle; else high = middle;
  }
  const [a, b] = [anchors[low], anchors[high]];
  return b[from] === a[from] ? b[to] : a[to] + ((b[to] - a[to]) * (value - a[from])) / (b[from] - a[from]);
}

export const timeAt = (anchors, position) => between(anchors, position, 0, 1);

/** Return the last position at or before a time. */
export const positionAt = (anchors, ms) => Math.floor(between(anchors, ms, 1, 0) + 1e-6);

/** Return the anchors with one exact pair more, in order; a pair of the same position is replaced. */
export function refine(anchors, position, ms) {
  const rest = anchors.filter(([p]) => p !== position);
  const at = rest.findIndex(([p]) => p > position);
  rest.splice(at < 0 ? rest.length : at, 0, [position, ms]);
  return rest;
}
