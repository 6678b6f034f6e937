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

/** Return the beginning of `html` that holds its first rows. Text in it is escaped, so a tag is a tag. */
export const first = (html, most) => html.split("<tr ", most + 1).join("<tr ");

/** Return the newest `most` rows of frames, newest first; none is made that would not be among them. */
export function gathered(frames, most, make = rows) {
  const found = [];
  for (const { html, last } of frames) {
    if (found.length >= most) break;
    found.push(...newer(first(html, most - found.length), last, make));
  }
  return found.slice(0, most);
}
