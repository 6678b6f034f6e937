// The playhead: one position for the whole page. Labels, needle and hatching follow at once; the parts
// of the page listen for "playhead" (at most every 50 ms, the last move always among them), and for
// "settled" once the hand rests. Everything that shows the position is bound with data-* attributes.
import { positionAt, read, refine, timeAt } from "./anchors.js";
import * as address from "./address.js";
import { ask } from "./ask.js";
import { ago, clock, date, group } from "./format.js";
import { paced } from "./paced.js";

const root = globalThis.document?.documentElement;
export const state = { at: 0, live: false, first: 0, last: 0, t0: 0, t1: 0, anchors: [], edge: false };
export const now = () => timeAt(state.anchors, state.at);
export const positionOf = (ms) => positionAt(state.anchors, ms);
export const recorded = () => state.last > 0;

/** Return how far `ms` lies along the window, in percent, kept within it. */
export const share = (ms, { t0, t1 }) => (t1 > t0 ? Math.max(0, Math.min(100, ((ms - t0) / (t1 - t0)) * 100)) : 100);

/** Take what the server drew: the window, its anchors, and how long the log is by now. */
export function load(timeline) {
  const d = timeline.dataset;
  Object.assign(state, { first: Number(d.first), last: Number(d.last), t0: Number(d.t0), t1: Number(d.t1), anchors: read(d.anchors) });
}

const tell = (name) => document.body.dispatchEvent(new CustomEvent(name, { bubbles: true, detail: { ...state, anchors: undefined } }));
const follow = paced(50, () => tell("playhead"));
const write = paced(300, () => address.move(state.live ? null : state.at));
const COUNTED = 10000;  // ms between counts while only the live edge moves
let resting = 0, saying = 0, counted = 0, held = null;

/**
 * Move the playhead. `quiet` leaves the address as it is (it was the address that moved); `edge` says
 * that nobody moved it: the log grew while live.
 */
export function seek(position, { live = false, quiet = false, edge = false } = {}) {
  if (!recorded()) { held = { position, live, quiet, edge }; return; }
  state.edge = edge;
  state.at = Math.max(Math.min(state.first, state.last), Math.min(state.last, Math.round(position)));
  state.live = live;
  render();
  if (!quiet) write();
  follow();
  clearTimeout(resting);
  clearTimeout(saying);
  resting = setTimeout(rest, 300);
}

/** Make the last move that was asked for before the server had drawn the timeline. */
export function release() {
  if (!held || !recorded()) return;
  const { position, ...options } = held;
  held = null;
  seek(options.live ? state.last : position, options);
}
export const goLive = (options) => seek(state.last, { live: true, ...options });

/** When the hand rests: learn the exact time of the position, say it once, and let slow parts follow. */
async function rest() {
  const at = state.at, ms = now();
  if (!state.edge || performance.now() - counted > COUNTED) {
    counted = performance.now();
    tell("settled");
  }
  if (!state.live && (ms <= state.t0 || ms >= state.t1)) tell("tick");  // the window must hold the needle
  if (state.live) return;
  const found = await ask({ at }).catch(() => null);
  if (!found || state.at !== at) return;
  state.anchors = refine(state.anchors, at, found.ms);
  render();
  saying = setTimeout(() => { document.getElementById("said").textContent = `${clock(found.ms, { unit: "s" })}, ${found.text}`; }, 300);
}

const setText = (el, value) => { if (el.textContent !== value) el.textContent = value; };

export function render() {
  if (!recorded()) return;
  const ms = now(), x = share(ms, state), edge = timeAt(state.anchors, state.last);
  const text = {
    at: state.live ? "" : String(state.at), pos: `#${group(state.at)}`, clock: clock(ms), day: date(ms),
    ago: ago(state.live ? 0 : edge - ms), asof: root.dataset.mode === "fork" ? "sandbox at" : state.live ? "live" : "as of",
  };
  if (root.dataset.mode !== "fork") root.dataset.mode = state.live ? "live" : "past";
  document.querySelectorAll("[data-bind]").forEach((el) => {
    const value = text[el.dataset.bind];
    if (el.tagName !== "INPUT") setText(el, value);
    else if (el !== document.activeElement || el.type === "hidden") el.value = value;
  });
  document.querySelectorAll("[data-bind-x]").forEach((el) => el.setAttribute("x", `${x}%`));
  document.querySelectorAll("[data-bind-rest]").forEach((el) => el.setAttribute("width", `${100 - x}%`));
  document.querySelectorAll("[data-pos]").forEach((el) => el.classList.toggle("future", Number(el.dataset.pos) > state.at));
  const needle = document.getElementById("needle");
  needle?.setAttribute("aria-valuenow", state.at);
  needle?.setAttribute("aria-valuetext", `Position ${group(state.at)}, ${text.clock}`);
  needle?.classList.toggle("flip", x > 88);
  document.querySelector('#dock [data-act="live"]')?.setAttribute("aria-pressed", state.live);
}
