// The newest rows of what a socket sent, without making those that nobody would see.
import { parsed } from "./morph.js";

/** Return the rows in `html`, newest first, as elements. */
export function rows(html) {
  return [...parsed(`<table><tbody>${html}</tbody></table>`).querySelectorAll("tr[data-row]")];
}

/** Return the rows in `html` that are newer than `last`. */
export function newer(html, last, make = rows) {
  return make(html).filter((row) => Number(row.dataset.row) > last);
}

/** Return the newest `most` rows of frames, newest first; of a frame that adds none no row is made. */
export function gathered(frames, most, make = rows) {
  const found = [];
  for (const { html, last } of frames) {
    if (found.length >= most) break;
    found.push(...newer(html, last, make));
  }
  return found.slice(0, most);
}
