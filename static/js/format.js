// Numbers and times as the page writes them; the same words as the server's (words.py).

const NBSP = "\u00a0";

/** Return a number in groups of three: 1 308 517. */
export function group(number) {
  return String(Math.abs(Math.round(number))).replace(/\B(?=(\d{3})+$)/g, NBSP).replace(/^/, number < 0 ? "\u2212" : "");
}

const makers = new Map();

function maker(zone, shape) {
  const key = `${zone}|${JSON.stringify(shape)}`;
  if (!makers.has(key)) makers.set(key, new Intl.DateTimeFormat("en-GB", { timeZone: zone || undefined, ...shape }));
  return makers.get(key);
}

/** Return the parts of a moment (ms since 1970) in a zone, as strings: {year, month, day, …}. */
export function parts(ms, zone) {
  const shape = {
    year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
    fractionalSecondDigits: 3, hourCycle: "h23", timeZoneName: "short",
  };
  return Object.fromEntries(maker(zone, shape).formatToParts(Math.floor(ms)).map((p) => [p.type, p.value]));
}

/** Return the time of day: 14:32:07.418, or less of it for unit "s" or "min"; the date for "day". */
export function clock(ms, { zone, unit = "ms" } = {}) {
  const p = parts(ms, zone);
  if (unit === "day") return `${p.day}${NBSP}${p.month}`;
  const text = `${p.hour}:${p.minute}`;
  if (unit === "min") return text;
  return unit === "s" ? `${text}:${p.second}` : `${text}:${p.second}.${p.fractionalSecond}`;
}

/** Return the date: 12 May 2026. */
export function date(ms, { zone } = {}) {
  const p = parts(ms, zone);
  return `${p.day}${NBSP}${p.month}${NBSP}${p.year}`;
}

/** Return a moment in full with its zone, for a title: 12 May 2026 14:32:07.418 CEST. */
export function full(ms, { zone } = {}) {
  return `${date(ms, { zone })} ${clock(ms, { zone })} ${parts(ms, zone).timeZoneName}`;
}

/** Return how far `ms` lies behind the live edge: "9 min 42 s ago". */
export function ago(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 1) return "at the live edge";
  const min = Math.floor(s / 60), h = Math.floor(min / 60), d = Math.floor(h / 24);
  if (d) return `${group(d)}${NBSP}d ${h % 24}${NBSP}h ago`;
  if (h) return `${h}${NBSP}h ${min % 60}${NBSP}min ago`;
  return min ? `${min}${NBSP}min ${s % 60}${NBSP}s ago` : `${s}${NBSP}s ago`;
}
