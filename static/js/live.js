// The live edge: a socket says how far the log is, and the transport follows. A lost connection is said,
// with what still works, and never moves the playhead.
import { group } from "./format.js";
import { seek, state } from "./playhead.js";
import { paced } from "./paced.js";
import { keep } from "./socket.js";

const $ = (id) => globalThis.document?.getElementById(id);
const LOOK = 2000, PAST = 10000;  // ms between two drawings of the bars: live, and in the past
let lostAt = 0, before = 0, line = null, known = 0, soon = 0;

/** What a page adds: `wants()` to the socket's address, `heard(frame)`, and whether it stays live when lost. */
export const edge = { stays: false, wants: () => ({}), heard: () => {}, again: () => line?.again() };

const look = () => { clearTimeout(soon); soon = 0; $("timeline").dispatchEvent(new CustomEvent("tick")); };
const lookLive = paced(LOOK, look);

function address() {
  const url = new URL(`/ws/${location.pathname.split("/")[1]}/live`, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = new URLSearchParams({ after: String(state.last), ...edge.wants() });
  return url.href;
}

function say(kind, title, text) {
  const banner = $("banner");
  banner.className = `banner ${kind}`;
  banner.querySelector("b").textContent = title;
  banner.querySelector("[data-text]").textContent = text;
  banner.querySelector('[data-act="retry"]').hidden = kind !== "bn-warn" || !lostAt;
  banner.querySelector('[data-act="live"]').hidden = kind === "bn-warn";
  banner.hidden = false;
}

function lost(tries, ms) {
  if (!lostAt) {
    lostAt = Date.now();
    before = state.last;
    if (state.live && !edge.stays) seek(state.at, { quiet: false });
  }
  const s = Math.round((Date.now() - lostAt) / 1000);
  say("bn-warn", `Connection lost ${s} s ago.`, `Recording goes on; this page shows ${document.querySelector('[data-bind="clock"]')?.textContent}. Trying again in ${ms / 1000} s.`);
  if (tries) void signedIn();
}

/** Go to the sign-in page when that is why there is no socket. */
async function signedIn() {
  const url = new URL($("dock").dataset.moment, location.href);
  const answer = await fetch(url, { headers: { Accept: "application/json", "HX-Request": "true" } }).catch(() => null);
  if (answer?.status === 401) location.reload();
}

function back(frame) {
  const more = frame.head - before, live = state.live;
  lostAt = 0;
  say("bn-ok", "Back.", `${group(more)} ${more === 1 ? "event" : "events"} arrived meanwhile${live ? "" : "; you are still where you were"}.`);
  $("banner").querySelector('[data-act="live"]').hidden = live;
  setTimeout(() => { if (!lostAt) $("banner").hidden = true; }, 10000);
  look();
}

function heard(frame) {
  if (lostAt) back(frame);
  trouble(frame.trouble || (frame.degraded && `${frame.degraded}: what other processes record comes a second later.`));
  if (frame.head > known) {
    known = frame.head;
    if (state.live) lookLive(); else soon ||= setTimeout(look, PAST);
  }
  edge.heard(frame);
}

let said = "";
function trouble(text) {
  if (text && text !== said) say("bn-warn", "Degraded.", text);
  if (!text && said && !lostAt) $("banner").hidden = true;
  said = text || "";
}

/** Begin to follow, once it is known whether the page is live. */
export function begin() {
  // Once every script of the page has said what it wants.
  const start = () => { line = keep(address, { heard, lost, back: () => {} }); };
  if (document.readyState === "complete") start(); else addEventListener("DOMContentLoaded", start);
  // Going live begins with a look at where the edge is by now.
  document.body.addEventListener("settled", () => state.live && !state.edge && look());
  document.addEventListener("click", (e) => e.target.closest?.('[data-act="retry"]') && line.again());
}
