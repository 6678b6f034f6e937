// The live edge: while the page follows it, look every 2 s; in the past, more rarely, only for the
// transport's right edge. A lost connection is said, with what still works, and never moves the playhead.
import { group } from "./format.js";
import { seek, state } from "./playhead.js";

const EVERY = { live: 2000, past: 10000 };
const RETRY = [2000, 4000, 8000, 15000];
const $ = (id) => globalThis.document?.getElementById(id);
let timer = 0, lostAt = 0, tries = 0, before = 0;

/** Return how long to wait before the next look. */
export const wait = (live, failed) => (failed ? RETRY[Math.min(failed, RETRY.length) - 1] : live ? EVERY.live : EVERY.past);

function next() {
  clearTimeout(timer);
  timer = setTimeout(look, wait(state.live, tries));
}

function look() {
  if (document.hidden) return next();
  $("timeline").dispatchEvent(new CustomEvent("tick"));
  return next();
}

function say(kind, title, text) {
  const banner = $("banner");
  banner.className = `banner ${kind}`;
  banner.querySelector("b").textContent = title;
  banner.querySelector("[data-text]").textContent = text;
  banner.querySelector('[data-act="retry"]').hidden = kind !== "bn-warn";
  banner.querySelector('[data-act="live"]').hidden = kind === "bn-warn";
  banner.hidden = false;
}

function lost() {
  if (!lostAt) {
    lostAt = Date.now();
    before = state.last;
    if (state.live) seek(state.at, { quiet: false });
  }
  tries += 1;
  const s = Math.round((Date.now() - lostAt) / 1000);
  say("bn-warn", `Connection lost ${s} s ago.`, `Recording goes on; this page shows ${document.querySelector('[data-bind="clock"]')?.textContent}. Trying again in ${wait(false, tries) / 1000} s.`);
  next();
}

function back() {
  if (!lostAt) return;
  lostAt = tries = 0;
  const more = state.last - before;
  say("bn-ok", "Back.", `${group(more)} ${more === 1 ? "event" : "events"} arrived meanwhile; you are still where you were.`);
  setTimeout(() => { if (!lostAt) $("banner").hidden = true; }, 10000);
  next();
}

/** Begin to look, once it is known whether the page is live. */
export function begin() {
  const ours = (e) => e.detail.elt?.id === "timeline";
  document.addEventListener("htmx:sendError", (e) => ours(e) && lost());
  document.addEventListener("htmx:timeout", (e) => ours(e) && lost());
  document.addEventListener("htmx:responseError", (e) => ours(e) && e.detail.xhr.status >= 500 && lost());
  document.addEventListener("htmx:afterSwap", (e) => e.detail.requestConfig?.elt?.id === "timeline" && back());
  document.addEventListener("visibilitychange", () => document.hidden || look());
  // Going live begins with a look at where the edge is by now.
  document.body.addEventListener("settled", () => state.live && !state.edge && look());
  document.addEventListener("click", (e) => e.target.closest?.('[data-act="retry"]') && look());
  next();
}
