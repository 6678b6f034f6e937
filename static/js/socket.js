// A socket that keeps itself open: it tries again when it is lost, notices a line that stalls, and rests
// while nobody looks. What it is for is asked each time it opens, so that it goes on where the page is.

export const RETRY = [1000, 2000, 4000, 8000, 15000];
const SILENT = 10000;  // ms without a frame after which the line is taken for dead; one comes every 2 s
const BROWSER = {  // what a test puts itself in the place of
  get WebSocket() { return globalThis.WebSocket; },
  get document() { return globalThis.document; },
  set: (f, ms) => setTimeout(f, ms),
  clear: (timer) => clearTimeout(timer),
  away: (name, f) => addEventListener(name, f),
  soon: (f) => requestAnimationFrame(f),
};
const EVERY = 16;  // frames for one answer

/** Return how long to wait before the next try. */
export const wait = (tries) => RETRY[Math.min(tries, RETRY.length - 1)];

/**
 * Keep a socket to address() open while the page is visible.
 * heard(frame) takes each frame; lost(tries, ms) is told when there is no line; back() when there is again.
 */
export function keep(address, { heard, lost, back }, env = BROWSER) {
  let socket = null, timer = 0, alarm = 0, tries = 0, frames = 0, down = false;

  function watch() {
    env.clear(alarm);
    alarm = env.set(() => drop(true), SILENT);
  }

  function open() {
    env.clear(timer);
    drop();
    if (env.document.hidden) return;
    const mine = new env.WebSocket(address());
    socket = mine;
    frames = 0;
    watch();
    mine.onmessage = (e) => {
      if (socket !== mine) return;
      watch();
      tries = 0;
      if (down) back();
      down = false;
      heard(JSON.parse(e.data));
      frames += 1;
      if (frames % EVERY === 0) env.soon(() => mine.readyState === 1 && mine.send(String(frames)));
    };
    mine.onclose = () => socket === mine && drop(true);
  }

  /** Let go of the socket; `broken` says that it was not us who wanted that. */
  function drop(broken = false) {
    const old = socket;
    socket = null;
    env.clear(alarm);
    if (old) { old.onclose = null; old.onmessage = null; old.close(); }
    if (!broken) return;
    down = true;
    const ms = wait(tries);
    lost(tries, ms);
    tries += 1;
    timer = env.set(open, ms);
  }

  env.document.addEventListener("visibilitychange", () => {
    env.clear(timer);
    if (env.document.hidden) drop(); else open();
  });
  env.away("offline", () => { env.clear(timer); if (!down) drop(true); });
  env.away("online", open);
  env.away("pagehide", () => { env.clear(timer); drop(); });
  env.away("pageshow", (e) => e.persisted && open());
  open();
  return { again: open };
}
