// The keyboard map. Nothing fires while typing in a field or a dialog; single keys can be turned off.
import { act } from "./acts.js";

const LEADER = 1200;  // ms that `g` waits for a second key
const PLAIN = {
  ArrowLeft: "back", ArrowRight: "fwd", Home: "first", End: "live", " ": "play", l: "live", b: "bookmark", y: "share",
  "[": "failure-back", "]": "failure-fwd", "+": "zoom-in", "-": "zoom-out", "/": "find", "#": "jump", j: "row-next",
  k: "row-back", Enter: "row-open", Escape: "close", "?": "help",
};
const UNPRINTED = new Set(["ArrowLeft", "ArrowRight", "Home", "End", "Enter", "Escape"]);

/**
 * Return what a key means: {act}, {page} after `g`, {leader: true} for `g` itself, or null.
 * `led` is the ms since `g`; `pages` the letters that lead somewhere; `single` whether single keys are on.
 */
export function meaning({ key, shiftKey = false }, { led = Infinity, pages = {}, single = true } = {}) {
  if (!single && !UNPRINTED.has(key)) return null;
  if (led < LEADER && Object.hasOwn(pages, key)) return { page: pages[key] };
  if (key === "g") return { leader: true };
  const name = Object.hasOwn(PLAIN, key) && PLAIN[key];
  return name ? { act: name, by: key.startsWith("Arrow") && shiftKey ? 10 : 1 } : null;
}

/** Whether a key belongs to what has the focus rather than to the page. */
export function taken(key, target) {
  if (target.closest("input, select, textarea, [contenteditable], dialog[open], [role=listbox], [role=combobox]")) return true;
  if (key === " " || key === "Enter") return Boolean(target.closest("button, summary, a, [role=checkbox]")) && !(key === "Enter" && target.closest("tr[data-pos]") === target);
  return Boolean(target.closest("[role=slider]:not(#needle)")) && key.startsWith("Arrow");
}

if (globalThis.document) {
  let led = -Infinity;
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing || e.defaultPrevented) return;
    if (taken(e.key, e.target)) {
      if (e.key === "Escape" && !e.target.closest("dialog[open]")) e.target.blur();
      return;
    }
    const links = [...document.querySelectorAll(".nav a[data-key]")];
    const pages = Object.fromEntries(links.map((a) => [a.dataset.key, a]));
    const found = meaning(e, { led: performance.now() - led, pages, single: !("noKeys" in document.documentElement.dataset) });
    led = found?.leader ? performance.now() : -Infinity;
    if (!found || found.leader) return;
    if (found.page) found.page.click();
    else if (act(found.act, { by: found.by, from: e.target }) === false) return;
    e.preventDefault();
  });
}
