// Times are sent in UTC and shown in the viewer's zone; the zone is in the title of each.
import { clock, date, full } from "./format.js";

/** Return what a <time> shows: its data-unit says how much of the moment. */
export function shown(ms, unit, options) {
  return unit === "date" ? date(ms, options) : clock(ms, { ...options, unit });
}

export function localize(within, options = {}) {
  for (const el of within.querySelectorAll("[data-ms]:not([data-local])")) {
    const ms = Number(el.dataset.ms);
    el.textContent = shown(ms, el.dataset.unit || "ms", options);
    if (el.tagName === "TIME") el.title = full(ms, options);
    el.dataset.local = "";
  }
}

/** Put what only script can place: marks on the timeline, by data-x. */
function place(within) {
  for (const el of within.querySelectorAll("[data-x]")) el.style.left = el.dataset.x;
}

if (globalThis.document) {
  const tidy = (el) => { localize(el); place(el); };
  tidy(document);
  document.addEventListener("htmx:load", (e) => tidy(e.detail.elt.parentElement ?? e.detail.elt));
}
