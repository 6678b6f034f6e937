// The newest events as rows: newest first, never one twice; while it is paused they wait and are counted.
import { filter } from "./filter.js";
import { edge } from "./live.js";
import { flooding } from "./flood.js";
import { gathered, rows } from "./newest.js";
import { localize } from "./times.js";

const KEPT = 200, SOME = 40;  // rows on the page: as they come, and of a flood until it ends
const ROW_MS = 5, REST_MS = 250;  // of rest for each row drawn, and at most
let body = null, waiting = [], count = 0, paused = false, button = null;
let held = [], timer = 0, rested = 0;  // frames that wait to be drawn, newest first
const flood = flooding(draw, { kept: KEPT, some: SOME, calm: 400 });

function label() {
  button.setAttribute("aria-pressed", paused);
  button.querySelector("span").textContent = !paused ? "Pause" : count ? `Resume, ${count}${count >= KEPT ? "+" : ""} wait` : "Resume";
}

function show(fresh) {
  const room = document.createDocumentFragment();
  room.append(...fresh);
  localize(room);  // these alone: there are hundreds
  while (body.rows.length && body.rows.length + fresh.length > KEPT) body.lastElementChild.remove();
  body.prepend(room);
}

function draw(frames, most) {
  body.replaceChildren();
  show(gathered(frames, most));
}

function flush() {
  clearTimeout(timer);
  timer = 0;
  const frames = held, offered = frames.reduce((sum, frame) => sum + frame.count, 0);
  held = [];
  rested = performance.now() + Math.min(REST_MS, Math.min(offered, SOME) * ROW_MS);
  if (!frames.length) return;
  if (!paused && (offered >= KEPT || flood.on)) return void flood.take(frames);
  const fresh = gathered(frames, KEPT);
  if (!paused) return void show(fresh);
  count += fresh.length < KEPT ? fresh.length : Math.max(KEPT, offered);
  waiting = [...fresh, ...waiting].slice(0, KEPT);
  label();
}

function resume() {
  flush();
  show(waiting);
  waiting = [];
  count = 0;
}

export const tail = {
  last: 0,  // up to where the rows are here, shown or waiting

  /** Take a frame of the socket. One that does not begin where the rows end is not taken: ask again. */
  add(frame) {
    if (frame.rows === undefined) return;
    if (frame.after > tail.last) return void edge.again();
    // Rows that are here already count for nothing: a page of them is no flood.
    const fresh = { html: frame.rows, last: tail.last, count: frame.after === tail.last ? frame.count : 0 };
    if (frame.rows) held = [fresh, ...held].slice(0, KEPT);
    tail.last = Math.max(tail.last, frame.head);
    if (held.length) timer ||= setTimeout(flush, Math.max(0, rested - performance.now()));
  },

  /** Show what the server drew for a moment, instead of what there is. */
  fill(frame) {
    body.replaceChildren();
    show(rows(frame.rows));
    held = [];
    flood.drop();
    waiting = [];
    count = 0;
    tail.last = frame.head;
    label();
  },

  begin(page, ask) {
    body = document.querySelector("#tail tbody");
    button = document.getElementById("tail-pause");
    tail.last = Number(page.dataset.last);
    button.addEventListener("click", () => {
      if (paused) resume();
      else {
        flush();
        flood.end();
      }
      paused = !paused;
      label();
    });
    filter.begin(ask);
  },
};
