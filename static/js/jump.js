// What may be typed into the transport's field: a position, a time of day, a distance, a full time.
import { parts } from "./format.js";

const UNITS = { ms: 1, s: 1e3, sec: 1e3, min: 6e4, m: 6e4, h: 36e5, d: 864e5 };

/**
 * Read what was typed. `now` is the playhead's time in ms, `zone` the viewer's.
 * Returns {position}, {ms}, or null for what is neither.
 */
export function parse(text, { now = 0, zone } = {}) {
  const t = text.trim().replace(/[\s\u00a0\u202f]+/g, " ");
  if (/^#?\d[\d ]*$/.test(t)) {
    const digits = t.replace(/\D/g, "");
    return digits.length <= 15 ? { position: Number(digits) } : null;
  }
  const time = /^(\d{1,2}):(\d\d)(?::(\d\d(?:\.\d{1,6})?))?$/.exec(t);
  if (time) return ofDay(now, zone, Number(time[1]), Number(time[2]), Number(time[3] || 0));
  const far = /^([+\-\u2212]) ?(\d+(?:\.\d+)?) ?(ms|s|sec|min|m|h|d)$/.exec(t);
  if (far) return { ms: now + (far[1] === "+" ? 1 : -1) * Number(far[2]) * UNITS[far[3]] };
  const full = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/i.test(t);
  const ms = full ? Date.parse(t.replace(" ", "T")) : NaN;
  return Number.isNaN(ms) ? null : { ms };
}

/** Return the moment with this time of day, on the day of `now` as it is in the zone. */
function ofDay(now, zone, hours, minutes, seconds) {
  if (hours > 23 || minutes > 59 || seconds >= 60) return null;
  const p = parts(now, zone);
  const since = ((Number(p.hour) * 60 + Number(p.minute)) * 60 + Number(p.second)) * 1000 + (((now % 1000) + 1000) % 1000);
  return { ms: now - since + ((hours * 60 + minutes) * 60 + seconds) * 1000 };
}
