// Soft navigation: links marked data-soft, and moves of the playhead, change the address without loading
// the page; the parts that show what changed load themselves. Back and forward do the same.
import { changed, withParams } from "./params.js";

const GESTURE = 900;  // ms: moves closer together than this are one entry of the history
const EVENTS = { q: "filters", col: "filters", before: "filters", after: "filters", with: "filters", event: "drawer", view: "drawer", zoom: "zoom" };
let moved = -Infinity, here = globalThis.location?.href;

const tell = (names) => new Set([...names].map((n) => EVENTS[n]).filter(Boolean))
  .forEach((name) => document.body.dispatchEvent(new CustomEvent(name, { bubbles: true })));

/** Make `url` the page's address; the parts hear which of their parameters changed. */
export function go(url, { replace = false } = {}) {
  const next = new URL(url, location.href).href, names = changed(here, next);
  if (!names.size) return;
  history[replace ? "replaceState" : "pushState"]({}, "", next);
  here = next;
  moved = -Infinity;
  tell(names);
}

/** Set one parameter of the address. */
export const set = (changes, options) => go(withParams(location.href, changes), options);

/** Note where the playhead is, null for live. One gesture is one entry of the history. */
export function move(at) {
  const next = withParams(location.href, { at }).href, time = performance.now();
  if (next !== here) history[time - moved < GESTURE ? "replaceState" : "pushState"]({}, "", next);
  here = next;
  moved = time;
  keep();
}

/** Let links that lead elsewhere carry the moment. */
export function keep() {
  const at = new URL(location.href).searchParams.get("at");
  document.querySelectorAll("a[data-keep-at]").forEach((a) => { a.href = withParams(a.href, { at }).href; });
}

/** Let a link that changes one thing of this page carry all else: data-carry="format=csv". */
function carry(a) {
  const url = new URL(a.href), own = new URLSearchParams(a.dataset.carry);
  url.search = location.search;
  a.href = withParams(url.href, Object.fromEntries(own)).href;
}

/** Call `seek(at)` (null: live) when back or forward moved the playhead. */
export function listen(seek) {
  addEventListener("popstate", () => {
    const names = changed(here, location.href);
    here = location.href;
    moved = -Infinity;
    if (names.has("at")) seek(new URL(here).searchParams.get("at"));
    tell(names);
    keep();
  });
  document.addEventListener("click", (e) => {
    const a = e.target.closest?.("a[data-soft], a[data-carry]");
    if (a && "carry" in a.dataset) return carry(a);
    if (!a || e.defaultPrevented || e.button || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return undefined;
    // The link may have been drawn for an older moment than the hand is at by now.
    const url = withParams(a.href, { at: new URL(location.href).searchParams.get("at") });
    if (url.pathname !== location.pathname) return undefined;
    e.preventDefault();
    return go(url);
  });
}
