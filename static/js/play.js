// Playing: the playhead moves at a multiple of the pace at which things happened.
import { goLive, now, positionOf, seek, state } from "./playhead.js";
import { timeAt } from "./anchors.js";

const root = globalThis.document?.documentElement;
let timer = 0;

export const playing = () => timer !== 0;

export function pause() {
  clearInterval(timer);
  timer = 0;
  if (root) delete root.dataset.playing;
  label("Play");
}

function label(text) {
  globalThis.document?.querySelector('#dock [data-act="play"]')?.setAttribute("aria-label", text);
}

export function play() {
  if (playing()) return pause();
  if (!state.last) return undefined;
  if (state.live || state.at >= state.last) return goLive();
  let at = now(), before = performance.now();
  root.dataset.playing = "";
  label("Pause");
  timer = setInterval(() => {
    const speed = parseFloat(document.querySelector('#dock [data-act="speed"]').value) || 1, time = performance.now();
    at += (time - before) * speed;
    before = time;
    if (at >= timeAt(state.anchors, state.last)) {
      pause();
      goLive();
    } else if (positionOf(at) > state.at) seek(positionOf(at));
  }, 80);
  return undefined;
}
