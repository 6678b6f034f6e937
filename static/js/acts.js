// What buttons, links and keys do, by name. A link's own address says the same without script.
import { copy, toast } from "./toast.js";
import { pause, play } from "./play.js";
import { ask } from "./ask.js";
import { goLive, recorded, seek, state } from "./playhead.js";
import * as rows from "./rows.js";
import { go } from "./address.js";
import { zoom } from "./timeline.js";
import { withParams } from "./params.js";

let asked = Promise.resolve(), steps = 0;

/** Step by events. Presses while an answer is on its way are added up, so a held key never queues. */
function step(by) {
  pause();
  if (!recorded()) return;
  steps += by;
  asked = asked.then(async () => {
    const n = steps;
    steps = 0;
    if (!n) return;
    const shown = new URL(location.href).searchParams.get("with") ?? "";
    const found = await ask({ at: state.at, go: n > 0 ? "next" : "previous", n: Math.abs(n), with: shown });
    seek(found.position);
  }).catch((error) => toast(error.message));
}

async function failure(direction, from = state.at) {
  pause();
  const found = await ask({ at: from, go: `${direction}-failure` }).catch((error) => toast(error.message));
  if (found?.found) seek(found.position);
  else if (found) toast(direction === "next" ? "Nothing failed after this moment" : "Nothing failed before this moment");
}

const focus = (...ids) => { const el = ids.map((id) => document.getElementById(id)).find(Boolean); el?.focus(); el?.select?.(); };
const acts = {
  back: ({ by = 1 }) => step(-by), fwd: ({ by = 1 }) => step(by), play, live: () => { pause(); goLive(); },
  first: () => { pause(); seek(state.first); },
  "failure-back": () => failure("previous"), "failure-fwd": () => failure("next"),
  "zoom-in": () => zoom(0.6), "zoom-out": () => zoom(1.7),
  find: () => focus("q", "search"), jump: () => focus("jump-in"),
  "row-next": () => rows.move(1), "row-back": () => rows.move(-1),
  "row-open": ({ from }) => rows.open(from),
  close: () => (document.querySelector('[data-drawer="open"]') ? go(withParams(location.href, { event: null, view: null })) : false),
  share: () => copy(withParams(location.href, recorded() ? { at: state.at } : {}).href, "Link to this moment copied"),
  help: () => document.getElementById("help").showModal(),
  bookmark: () => recorded() && document.querySelector('#dock [data-act="bookmark"]').dispatchEvent(new CustomEvent("bookmark")),
  theme() {
    const root = document.documentElement, dark = getComputedStyle(root).colorScheme === "dark"
      || (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("evdebug.theme", root.dataset.theme); } catch { /* storage may be off */ }
  },
};

/** Do what is called `name`; false when there is nothing to do here. */
export const act = (name, options = {}) => (Object.hasOwn(acts, name) ? acts[name](options) : false);

if (globalThis.document) {
  document.addEventListener("click", (e) => {
    if (e.button || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
    const el = e.target.closest?.("[data-act], [data-seek]");
    if (!el || el.disabled || el.tagName === "SELECT") return;
    if (el.dataset.go) failure("next", Number(el.dataset.seek));
    else if (el.dataset.seek) {
      pause();
      seek(Number(el.dataset.seek));
    } else if (el.dataset.act === "bookmark" || act(el.dataset.act) === false) return;
    e.preventDefault();
  });
}
