// What every request of a part carries: the address's filters, where the playhead is now, and the window
// of time that is drawn, so that server and hand always mean the same.
import { now, state } from "./playhead.js";

const READING = 60;  // px scrolled: whoever reads further down is not thrown back by the live edge
const ROW = 28;     // px at least

/** Return the parameters of a request: those of the address, with the playhead's own. */
export function parameters(search, { at, live, t0, t1 }, { free = false } = {}) {
  const values = new URLSearchParams(search);
  if (live) values.delete("at"); else values.set("at", at);
  if (!values.has("zoom") && !free && t1 > t0) values.set("window", `${Math.floor(t0)}..${Math.ceil(t1)}`);
  return values;
}

/** How many rows fill `height` pixels. A table that follows the hand holds no more: the rest loads when
 * it is scrolled to. */
export const enough = (height) => Math.ceil(height / ROW) + 2;

/** Whether the server chooses the window: it follows the head, or must be brought to the needle. */
export const free = ({ live, t0, t1 }, ms) => live || !(ms > t0 && ms < t1);

if (globalThis.document) {
  document.addEventListener("htmx:configRequest", (e) => {
    const el = e.detail.elt;
    if (!("follow" in el.dataset)) return;
    const carried = parameters(location.search, state, { free: el.id === "timeline" && free(state, now()) });
    for (const name of new Set(carried.keys())) {
      if (!(name in e.detail.parameters)) e.detail.parameters[name] = carried.getAll(name);
    }
    const scroller = el.querySelector("[data-keep-scroll]"), moved = e.detail.triggeringEvent?.type === "playhead";
    if (scroller && moved && scroller.scrollTop <= READING) e.detail.parameters.rows = enough(scroller.clientHeight);
  });
  document.addEventListener("htmx:beforeRequest", (e) => {
    const scroller = e.detail.elt.querySelector?.("[data-keep-scroll]");
    const event = e.detail.requestConfig.triggeringEvent?.type;
    // What a person is filling in is not taken from under their hands.
    const held = document.activeElement?.closest?.("[data-hold]");
    if (event === "playhead" && held && e.detail.elt.contains(held)) e.preventDefault();
    // A query that cannot be read keeps the results there are, whatever the playhead does.
    if (event === "playhead" && document.getElementById("q-msg")?.hidden === false) e.preventDefault();
    if (state.edge && event === "playhead" && scroller?.scrollTop > READING) e.preventDefault();
  });
}
