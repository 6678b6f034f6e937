// The query bar: colours while typing, suggestions, and a soft submit that keeps the page.
import * as address from "./address.js";
import { paced } from "./paced.js";
import { style, tokens } from "./tokens.js";

const input = globalThis.document?.getElementById("q");
const $ = (id) => document.getElementById(id);
let chosen = -1, asked = 0;

function paint() {
  const spans = tokens(input.value).map((token) => {
    const name = style(token);
    return name ? Object.assign(document.createElement("span"), { className: name, textContent: token.text }) : token.text;
  });
  $("q-hl").replaceChildren(...spans);
  scroll();
}
const scroll = () => { $("q-hl").scrollLeft = input.scrollLeft; };
const options = () => [...$("q-sug").querySelectorAll("[role=option]")];

function choose(index) {
  const all = options();
  chosen = all.length ? (index + all.length) % all.length : -1;
  all.forEach((li, i) => li.setAttribute("aria-selected", i === chosen));
  if (chosen >= 0) {
    input.setAttribute("aria-activedescendant", all[chosen].id);
    all[chosen].scrollIntoView({ block: "nearest" });
  } else input.removeAttribute("aria-activedescendant");
}

function hide() {
  $("q-sug").hidden = true;
  input.setAttribute("aria-expanded", "false");
  choose(-1);
  chosen = -1;
}

/** Put a suggestion in place of the word it completes. */
function accept(li) {
  const { start, end, text } = li.dataset;
  input.setRangeText(text, Number(start), Number(end), "end");
  paint();
  hide();
  input.focus();
  if (/[:.]$/.test(text)) suggest();
}

const suggest = paced(120, async () => {
  const mine = ++asked, url = new URL(input.dataset.suggest, location.href);
  url.search = location.search;
  url.searchParams.set("q", input.value);
  url.searchParams.set("caret", [...input.value.slice(0, input.selectionStart)].length);
  const answer = await fetch(url).catch(() => null);
  if (!answer?.ok || mine !== asked || document.activeElement !== input) return;
  const list = new DOMParser().parseFromString(await answer.text(), "text/html").body;
  $("q-sug").replaceChildren(...list.children);
  const any = options().length > 0;
  $("q-sug").hidden = !any;
  input.setAttribute("aria-expanded", String(any));
  chosen = -1;
});

if (input) {
  paint();
  input.addEventListener("input", () => {
    paint();
    hide();  // what is offered fits the text before; so does an answer on its way
    asked += 1;
    suggest();
  });
  input.addEventListener("scroll", scroll);
  input.addEventListener("blur", () => setTimeout(hide, 150));
  input.addEventListener("keydown", (e) => {
    const open = !$("q-sug").hidden;
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      if (open) choose(chosen < 0 && e.key === "ArrowUp" ? -1 : chosen + (e.key === "ArrowDown" ? 1 : -1)); else suggest();
    } else if ((e.key === "Enter" || e.key === "Tab") && open && chosen >= 0) {
      e.preventDefault();
      accept(options()[chosen]);
    } else if (e.key === "Escape" && open) {
      e.stopPropagation();
      hide();
    }
  });
  $("q-sug").addEventListener("pointerdown", (e) => {
    const li = e.target.closest("[role=option]");
    if (li) { e.preventDefault(); accept(li); }
  });
  $("query").addEventListener("submit", (e) => {
    e.preventDefault();
    hide();
    address.set({ q: input.value, before: null, after: null });
  });
  // Back, forward and facets change the query: the field says what is shown.
  document.body.addEventListener("filters", () => {
    input.value = new URL(location.href).searchParams.get("q") ?? "";
    paint();
  });
}
