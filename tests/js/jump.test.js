import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "../../static/js/jump.js";

const now = Date.parse("2026-05-12T14:32:07.418Z"), zone = "UTC";
const iso = (text, z = zone) => { const found = parse(text, { now, zone: z }); return found?.ms === undefined ? found : new Date(found.ms).toISOString(); };

test("positions, however they are written", () => {
  for (const text of ["#1284031", "1284031", "#1 284 031", "#1\u00a0284\u00a0031", " 1284031 "]) {
    assert.deepEqual(parse(text, { now, zone }), { position: 1284031 }, text);
  }
});
test("times of the day one stands on", () => {
  assert.equal(iso("14:32"), "2026-05-12T14:32:00.000Z");
  assert.equal(iso("14:32:07.418"), "2026-05-12T14:32:07.418Z");
  assert.equal(iso("9:05"), "2026-05-12T09:05:00.000Z");
});
test("in the viewer's zone", () => {
  assert.equal(iso("01:00", "Asia/Kolkata"), "2026-05-11T19:30:00.000Z");
});
test("distances from where one stands", () => {
  assert.equal(iso("-30s"), "2026-05-12T14:31:37.418Z");
  assert.equal(iso("\u221230 s"), "2026-05-12T14:31:37.418Z");
  assert.equal(iso("+5min"), "2026-05-12T14:37:07.418Z");
  assert.equal(iso("+1.5h"), "2026-05-12T16:02:07.418Z");
});
test("full times", () => {
  assert.equal(iso("2026-05-12T14:00:00Z"), "2026-05-12T14:00:00.000Z");
  assert.equal(iso("2026-05-12 16:00:00+02:00"), "2026-05-12T14:00:00.000Z");
});
test("what is none of them", () => {
  for (const text of ["", "abc", "25:00", "12:60", "#", "-5", "2026-05-12", "9".repeat(16), "\u0661\u0662"]) {
    assert.equal(parse(text, { now, zone }), null, text);
  }
});
