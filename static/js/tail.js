// The newest events as rows: newest first, never one twice; while it is paused they wait and are counted.
import { edge } from "./live.js";
import { parsed } from "./morph.js";
import { localize } from "./times.js";

const KEPT = 200;
let body = null, waiting = [], count = 0, paused = false, button = null;

/** Return the rows in `html` that are newer than `last`, as elements. */
export function newer(html, last, make = rows) {
  return make(html).filter((row) => Number(row.dataset.row) > last);
}

function rows(html) {
  return [...parsed(`<table><tbody>${html}</tbody></table>`).querySelectorAll("tr[data-row]")];
}

function label() {
  button.setAttribute("aria-pressed", paused);
  button.querySelector("span").textContent = !paused ? "Pause" : count ? `Resume, ${count}${count >= KEPT ? "+" : ""} wait` : "Resume";
}

function show(fresh) {
  body.prepend(...fresh);
  while (body.rows.length > KEPT) body.lastElementChild.remove();
  localize(body);
}

function resume() {
  show(waiting);
  waiting = [];
  count = 0;
}

export const tail = {
  query: "",
  last: 0,  // up to where the rows are here, shown or waiting

  /** Take a frame of the socket. One that does not begin where the rows end is not taken: ask again. */
  add(frame) {
    if (frame.rows === undefined) return;
    if (frame.after > tail.last) return void edge.again();
    const fresh = newer(frame.rows, tail.last);
    tail.last = Math.max(tail.last, frame.head);
    if (!fresh.length) return;
    if (!paused) return show(fresh);
    count += fresh.length;
    waiting = [...fresh, ...waiting].slice(0, KEPT);
    label();
  },

  /** Show what the server drew for a moment, instead of what there is. */
  fill(frame) {
    body.replaceChildren(...rows(frame.rows));
    localize(body);
    waiting = [];
    count = 0;
    tail.last = frame.head;
    label();
  },

  /** Say what is wrong with the filter; "" is nothing. */
  say(text) {
    const el = document.getElementById("tail-msg");
    el.textContent = text;
    el.hidden = !text;
    document.getElementById("tail-filter").toggleAttribute("aria-invalid", Boolean(text));
  },

  begin(page, ask) {
    body = document.querySelector("#tail tbody");
    button = document.getElementById("tail-pause");
    const form = document.getElementById("tail-form"), field = document.getElementById("tail-filter");
    tail.query = field.value;
    tail.last = Number(page.dataset.last);
    button.addEventListener("click", () => {
      paused = !paused;
      if (!paused) resume();
      label();
    });
    form.addEventListener("submit", (e) => {
      e.preventDefault();
      tail.query = field.value.trim();
      const url = new URL(location.href);
      if (tail.query) url.searchParams.set("tail", tail.query); else url.searchParams.delete("tail");
      history.replaceState({}, "", url);
      ask();
    });
  },
};
