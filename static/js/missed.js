// A part that is asked for again while its answer is on its way waits in htmx's queue; but the answer
// replaces the part, and with it the queue is gone. Whoever let go of a key just then would look at an
// old moment for good. So what a part missed is remembered here, and asked for once it is replaced.
// Nor is a part replaced while a pointer is pressed on it: the click would be lost, a text half selected.

const TOLD = ["playhead", "settled", "filters", "zoom", "marks", "refold"];
const flying = new Map();  // id of a part → the event it missed, "" for none

/** Whether a part, by its hx-trigger, listens for an event told on the body. */
export const listens = (trigger, type) => (trigger ?? "").split(",").some((each) => each.trim() === `${type} from:body`);

const again = (part, type) => {
  const [url, swap] = ["hx-get", "hx-swap"].map((name) => part.getAttribute(name));
  globalThis.htmx.ajax("GET", url, { source: part, target: part, swap, event: new CustomEvent(type) });
};

function missing() {
  document.addEventListener("htmx:beforeRequest", ({ detail: { elt } }) => {
    if (elt.id && "follow" in elt.dataset) flying.set(elt.id, "");
  });
  for (const type of TOLD) document.addEventListener(type, () => {
    for (const id of flying.keys()) if (listens(document.getElementById(id)?.getAttribute("hx-trigger"), type)) flying.set(id, type);
  }, true);  // before htmx hears of it, which may send a request at once
  document.addEventListener("htmx:afterRequest", ({ detail: { requestConfig: { elt: { id, isConnected } } } }) => {
    const missed = flying.get(id), part = document.getElementById(id);
    flying.delete(id);
    if (missed && !isConnected && part) again(part, missed);
  });
}

function pressing() {
  let pressed = null;
  const late = new Map();  // id of a part → the event whose answer came while it was pressed
  document.addEventListener("pointerdown", (e) => { if (!e.button) pressed = e.target; }, true);
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const { elt, triggeringEvent } = detail.requestConfig;
    if (!("follow" in elt.dataset) || elt !== detail.target || !elt.contains(pressed)) return;
    if (elt.id === "timeline" && !pressed.closest("a, button, summary")) return;  // a drag, which draws it anew
    detail.shouldSwap = false;
    late.set(elt.id, triggeringEvent?.type ?? "playhead");
  });
  const lifted = () => {
    pressed = null;
    setTimeout(() => late.forEach((type, id) => {  // after the click, which may ask for another moment
      const part = document.getElementById(id);
      late.delete(id);
      if (part) again(part, type);
    }));
  };
  // A menu or another window may swallow the end of it.
  ["pointerup", "pointercancel", "contextmenu"].forEach((name) => document.addEventListener(name, lifted, true));
  addEventListener("blur", lifted);
}

if (globalThis.document) {
  missing();
  pressing();
}
