// The Live page: parts and rows come by the socket while the page is live, and from the server for the
// moment of the playhead while it is not. Both have the same shape.
import { filter } from "./filter.js";
import { edge } from "./live.js";
import { morph } from "./morph.js";
import { paced } from "./paced.js";
import { state } from "./playhead.js";
import { tail } from "./tail.js";
import { localize } from "./times.js";

const page = globalThis.document?.getElementById("live");
let asking = null, shown = true;  // what is on the page is the live edge

function draw(parts) {
  for (const [name, html] of Object.entries(parts ?? {})) {
    const el = name === "info" ? document.getElementById("info") : page.querySelector(`[data-part="${name}"]`);
    if (!el) continue;
    morph(el, html);
    localize(el);
    globalThis.htmx?.process(el);
  }
}

/** Show the moment of the playhead, as the server draws it. */
async function fetchMoment() {
  asking?.abort();
  asking = new AbortController();
  const url = new URL(page.dataset.moment, location.href), live = state.live;
  url.search = new URLSearchParams({ view: page.dataset.view, tail: filter.query, ...(live ? {} : { at: state.at }), ...timeline() });
  try {
    const answer = await fetch(url, { signal: asking.signal, headers: { Accept: "application/json" } });
    const frame = await answer.json();
    filter.say(answer.ok ? "" : frame.detail);
    if (!answer.ok) return;
    draw(frame.parts);
    tail.fill(frame);
    shown = live;
    if (live) edge.again();  // it goes on from here
  } catch (error) {
    if (error.name !== "AbortError" && !(error instanceof TypeError)) throw error;
  }
}
const timeline = () => { const t = new URLSearchParams(location.search).get("timeline"); return t ? { timeline: t } : {}; };

if (page) {
  const follow = paced(120, fetchMoment);
  tail.begin(page, follow);
  edge.stays = true;
  edge.wants = () => ({ after: tail.last, tail: filter.query, view: page.dataset.view, ...timeline() });
  edge.heard = (frame) => {
    if (!state.live || !shown) return;
    draw(frame.parts);
    tail.add(frame);
  };
  document.body.addEventListener("playhead", () => { if (!state.live || !shown) follow(); });
  document.body.addEventListener("muted", follow);
}
