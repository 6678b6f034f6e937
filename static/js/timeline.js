// The hand on the transport: dragging the needle, choosing a range with shift, zooming, the overview.
import * as address from "./address.js";
import { timeAt } from "./anchors.js";
import { drag, fraction } from "./drag.js";
import { paced } from "./paced.js";
import { pause } from "./play.js";
import { goLive, load, now, positionOf, release, render, seek, state } from "./playhead.js";
import { text, within, zoomed } from "./window.js";

const dock = globalThis.document?.getElementById("dock");
const $ = (id) => document.getElementById(id), bounds = () => [timeAt(state.anchors, 1), timeAt(state.anchors, state.last)];
let dragging = false, wanted = null, shown = null;

/** Show another window: the address says which, the server draws it. */
const show = paced(120, () => { shown = wanted; address.set({ zoom: text(wanted) }, { replace: true }); });
function want(view) {
  wanted = view;
  $("timeline").dataset.loading = "";
  show();
}
const view = () => wanted ?? [state.t0, state.t1];
export const zoom = (factor, around = now()) => state.last && want(zoomed(view(), factor, around, bounds()));
const all = () => address.set({ zoom: "all" }, { replace: true });

function needle(down) {
  const box = $("tl-zoom").getBoundingClientRect(), edge = state.t1 >= timeAt(state.anchors, state.last);
  const moved = (e) => {
    const f = fraction(e, box);
    if (edge && f > 0.998) goLive(); else seek(positionOf(state.t0 + f * (state.t1 - state.t0)));
  };
  dragging = true;
  $("timeline").dataset.dragging = "";
  drag(down, moved, () => { dragging = false; delete $("timeline").dataset.dragging; });
  moved(down);
}

function range(down) {
  const box = $("tl-zoom").getBoundingClientRect(), from = fraction(down, box), sel = $("tl-sel");
  const moved = (e) => {
    const to = fraction(e, box);
    sel.setAttribute("x", `${Math.min(from, to) * 100}%`);
    sel.setAttribute("width", `${Math.abs(to - from) * 100}%`);
  };
  drag(down, moved, (e) => {
    const [a, b] = [from, fraction(e, box)].sort((x, y) => x - y).map((f) => state.t0 + f * (state.t1 - state.t0));
    sel.setAttribute("width", 0);
    if ((b - a) / (state.t1 - state.t0) > 0.004) want(within([a, Math.max(b, a + 1000)], bounds()));
  });
}

function brush(down) {
  const box = $("tl-over").getBoundingClientRect(), [first, last] = bounds(), [t0, t1] = view();
  const grip = fraction(down, box) * (last - first) + first, inside = grip >= t0 && grip <= t1;
  const moved = (e) => {
    const at = fraction(e, box) * (last - first) + first, start = inside ? t0 + at - grip : at - (t1 - t0) / 2;
    const [a, b] = within([start, start + t1 - t0], [first, last]);
    $("brush").setAttribute("x", `${((a - first) / (last - first)) * 100}%`);
    want([a, b]);
  };
  drag(down, moved);
  moved(down);
}

if (dock) {
  dock.addEventListener("pointerdown", (e) => {
    if (e.button || !state.last || e.target.closest("a, button, summary")) return;
    const part = e.target.closest("#tl-zoom, #tl-over");
    if (!part) return;
    e.preventDefault();
    pause();
    if (part.id === "tl-over") brush(e); else if (e.shiftKey) range(e); else needle(e);
  });
  dock.addEventListener("wheel", (e) => {
    const part = e.target.closest("#tl-zoom");
    if (!part || !(e.ctrlKey || e.metaKey)) return;
    e.preventDefault();
    const [t0, t1] = view();
    zoom(e.deltaY > 0 ? 1.25 : 0.8, t0 + fraction(e, part.getBoundingClientRect()) * (t1 - t0));
  }, { passive: false });
  // The pointer was captured, so the target is the dock: where it happened says what was meant.
  dock.addEventListener("dblclick", (e) => document.elementFromPoint(e.clientX, e.clientY)?.closest("#tl-zoom") && all());
  // A new drawing never replaces the one under the hand.
  document.addEventListener("htmx:beforeSwap", (e) => { if (e.detail.target.id === "timeline" && dragging) e.detail.shouldSwap = false; });
  document.addEventListener("htmx:afterSwap", (e) => {
    if (e.detail.target.id !== "timeline" || e.target.id !== "timeline") return;
    if (wanted && wanted !== shown) $("timeline").dataset.loading = ""; else wanted = null;  // or the hand is further by now
    drawn();
  });
}

/** Take what the server drew. While live the playhead goes along with the edge. */
export function drawn() {
  const timeline = $("timeline"), before = state.last;
  if (!timeline?.dataset.last) return;
  load(timeline);
  dock.querySelectorAll(":disabled").forEach((el) => { el.disabled = false; });
  if (state.live && before && state.last > before) seek(state.last, { live: true, quiet: true, edge: true });
  else render();
  release();
}
