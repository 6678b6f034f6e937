import assert from "node:assert/strict";
import { test } from "node:test";
import { free, parameters } from "../../static/js/follow.js";
import { meaning } from "../../static/js/keys.js";
import { paced } from "../../static/js/paced.js";
import { changed, withParams } from "../../static/js/params.js";
import { share } from "../../static/js/playhead.js";
import { target } from "../../static/js/rows.js";
import { keep, wait } from "../../static/js/socket.js";
import { watch } from "../../static/js/wait.js";
import { text, within, zoomed } from "../../static/js/window.js";

test("addresses: parameters are set, taken away and repeated", () => {
  const from = "http://x/shop/events?q=a&at=5";
  assert.equal(withParams(from, { at: null, q: "b c" }).search, "?q=b+c");
  assert.equal(withParams(from, { col: ["x", "y"] }).search, "?q=a&at=5&col=x&col=y");
  assert.equal(withParams(from, { q: "" }).search, "?at=5");
});
test("addresses: what differs", () => {
  assert.deepEqual(changed("http://x/?a=1&b=2&c=3", "http://x/?b=2&a=9&d=4"), new Set(["a", "c", "d"]));
  assert.equal(changed("http://x/?a=1", "http://x/?a=1").size, 0);
});
test("requests carry the filters of the address and where the playhead is", () => {
  const state = { at: 7, live: false, t0: 10.5, t1: 20.2 };
  assert.equal(parameters("?q=a&at=3", state).toString(), "q=a&at=7&window=10..21");
  assert.equal(parameters("?q=a&at=3", { ...state, live: true }).toString(), "q=a&window=10..21");
  assert.equal(parameters("?zoom=1..2", state, { free: true }).toString(), "zoom=1..2&at=7");
  assert.equal(parameters("", { at: 7, live: false, t0: 0, t1: 0 }).toString(), "at=7");
});
test("the server chooses the window while live, and when the needle left it", () => {
  const state = { live: false, t0: 10, t1: 20 };
  assert.equal(free(state, 15), false);
  assert.equal(free(state, 25), true);
  assert.equal(free({ ...state, live: true }, 15), true);
  assert.equal(free(state, NaN), true);
});
test("where on the axis", () => {
  assert.equal(share(15, { t0: 10, t1: 20 }), 50);
  assert.equal(share(5, { t0: 10, t1: 20 }), 0);
  assert.equal(share(99, { t0: 10, t1: 20 }), 100);
  assert.equal(share(5, { t0: 5, t1: 5 }), 100);
});
test("windows: zooming keeps the moment where it is, within the recording", () => {
  assert.deepEqual(zoomed([0, 10000], 0.5, 8000, [0, 100000]), [4000, 9000]);
  assert.deepEqual(zoomed([0, 10000], 100, 5000, [0, 20000]), [0, 20000]);
  const [a, b] = zoomed([5000, 6000], 0.1, 5500, [0, 9000]);
  assert.equal(b - a, 1000, "never shorter than a second");
  assert.deepEqual(within([-500, 500], [0, 9000]), [0, 1000]);
  assert.deepEqual(within([8500, 9500], [0, 9000]), [8000, 9000]);
  assert.equal(text([1.9, 2.1]), "1..3");
});
test("keys: what each means", () => {
  const mean = (key, more = {}, options = {}) => meaning({ key, ...more }, options);
  assert.deepEqual(mean("ArrowLeft"), { act: "back", by: 1 });
  assert.deepEqual(mean("ArrowRight", { shiftKey: true }), { act: "fwd", by: 10 });
  const acts = { "[": "failure-back", "]": "failure-fwd", Home: "first", End: "live", " ": "play", l: "live", b: "bookmark", y: "share",
    "#": "jump", "+": "zoom-in", "-": "zoom-out", "/": "find", j: "row-next", k: "row-back", Enter: "row-open", Escape: "close", "?": "help" };
  for (const [key, act] of Object.entries(acts)) assert.equal(mean(key).act, act, key);
  assert.equal(mean("z"), null);
  assert.equal(mean("constructor"), null);
});
test("keys: g waits for a second one", () => {
  const pages = { e: "events", l: "live" };
  assert.deepEqual(meaning({ key: "g" }), { leader: true });
  assert.deepEqual(meaning({ key: "e" }, { led: 300, pages }), { page: "events" });
  assert.deepEqual(meaning({ key: "l" }, { led: 1300, pages }), { act: "live", by: 1 });
  assert.equal(meaning({ key: "e" }, { pages }), null);
});
test("keys: single ones can be turned off", () => {
  for (const key of ["l", "g", " ", "b", "?"]) assert.equal(meaning({ key }, { single: false }), null, key);
  assert.equal(meaning({ key: "ArrowLeft" }, { single: false }).act, "back");
});
test("rows: the next one, from the focus or what is open", () => {
  assert.equal(target(2, -1, 1, 5), 3);
  assert.equal(target(-1, 3, -1, 5), 2);
  assert.equal(target(-1, -1, 1, 5), 0);
  assert.equal(target(4, -1, 1, 5), 4);
  assert.equal(target(0, -1, -1, 5), 0);
  assert.equal(target(-1, -1, 1, 0), -1);
});
test("pace: at once, then spaced, and the last call is never lost", () => {
  let time = 0, pending = null, calls = 0;
  const call = paced(80, () => { calls += 1; }, { now: () => time, later: (f, ms) => { pending = { f, at: time + ms }; } });
  call();
  assert.equal(calls, 1);
  for (time = 10; time < 80; time += 10) call();
  assert.equal(calls, 1);
  assert.equal(pending.at, 80);
  time = 80;
  pending.f();
  assert.equal(calls, 2);
  time = 500;
  call();
  assert.equal(calls, 3);
});
function socketWorld() {
  const world = { sockets: [], timers: [], listeners: {}, told: [] };
  class WebSocket {
    constructor(url) { Object.assign(this, { url, readyState: 1, sent: [] }); world.sockets.push(this); }
    send(text) { this.sent.push(text); }
    close() { this.closed = true; this.onclose?.(); }
  }
  const on = (name, f) => { world.listeners[name] = f; };
  const env = {
    WebSocket, document: { hidden: false, addEventListener: on }, away: on, soon: (f) => f(),
    set: (f, ms) => world.timers.push({ f, ms }), clear: (n) => { if (n) world.timers[n - 1] = null; },
  };
  let after = 0;
  const line = keep(() => `ws://x/?after=${after}`, {
    heard: (frame) => { after = frame.head; world.told.push(frame.head); }, lost: (tries, ms) => world.told.push(`lost ${tries} ${ms}`), back: () => world.told.push("back"),
  }, env);
  return Object.assign(world, { env, line, last: () => world.sockets.at(-1), frame: (head) => world.last().onmessage({ data: JSON.stringify({ head }) }), run: (ms) => { const n = world.timers.findLastIndex((t) => t?.ms === ms); const { f } = world.timers[n]; world.timers[n] = null; f(); } });
}
test("a socket: frames are answered now and then, and it opens again where the page is", () => {
  const w = socketWorld();
  const frames = Array.from({ length: 17 }, (_, n) => n + 1);
  frames.forEach(w.frame);
  assert.deepEqual(w.last().sent, ["16"]);
  w.last().close();
  w.run(1000);
  assert.equal(w.last().url, "ws://x/?after=17");
  w.frame(18);
  assert.deepEqual(w.told, [...frames, "lost 0 1000", "back", 18]);
});
test("a socket: a line that stalls is given up, later and later", () => {
  const w = socketWorld();
  w.run(10000);
  assert.equal(w.sockets[0].closed, true);
  w.run(1000);
  w.last().close();
  assert.deepEqual(w.told, ["lost 0 1000", "lost 1 2000"]);
  assert.deepEqual([0, 1, 2, 3, 4, 99].map(wait), [1000, 2000, 4000, 8000, 15000, 15000]);
});
test("a socket: it rests while nobody looks, and says nothing of it", () => {
  const w = socketWorld();
  w.env.document.hidden = true;
  w.listeners.visibilitychange();
  assert.equal(w.sockets[0].closed, true);
  w.line.again();
  assert.equal(w.sockets.length, 1);
  w.env.document.hidden = false;
  w.listeners.visibilitychange();
  assert.equal(w.sockets.length, 2);
  assert.deepEqual(w.told, []);
});
test("waiting for the first event outlives a lost connection", async () => {
  const answers = [Promise.reject(new Error("gone")), { ok: false }, { ok: true, json: () => ({ position: 0 }) }, { ok: true, json: () => ({ position: 3 }) }];
  let went = 0;
  await new Promise((done) => {
    watch("/x", () => { went += 1; done(); }, { ask: () => Promise.resolve(answers.shift()), later: (f) => f() });
  });
  assert.equal(went, 1);
  assert.equal(answers.length, 0);
});
