import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, clock, date, full, group } from "../../static/js/format.js";

const at = Date.parse("2026-05-12T14:32:07.418Z"), zone = "UTC";
const plain = (text) => text.replaceAll("\u00a0", " ");

test("numbers come in groups of three with no-break spaces", () => {
  assert.equal(group(1308517), "1\u00a0308\u00a0517");
  assert.equal(group(999), "999");
  assert.equal(group(-1234), "\u22121\u00a0234");
  assert.equal(group(0), "0");
});
test("times of day", () => {
  assert.equal(clock(at, { zone }), "14:32:07.418");
  assert.equal(clock(at + 0.9, { zone }), "14:32:07.418", "never rounded up");
  assert.equal(clock(at, { zone, unit: "s" }), "14:32:07");
  assert.equal(clock(at, { zone, unit: "min" }), "14:32");
  assert.equal(plain(clock(at, { zone, unit: "day" })), "12 May");
  assert.equal(clock(Date.parse("2026-05-12T00:00:00Z"), { zone }), "00:00:00.000");
});
test("in the viewer's zone, which the title names", () => {
  assert.equal(clock(at, { zone: "Asia/Kolkata" }), "20:02:07.418");
  assert.equal(plain(date(at, { zone: "Pacific/Auckland" })), "13 May 2026");
  assert.match(plain(full(at, { zone })), /^12 May 2026 14:32:07\.418 UTC$/);
});
test("how long ago", () => {
  for (const [s, text] of [[0.4, "at the live edge"], [9, "9 s ago"], [582, "9 min 42 s ago"], [20820, "5 h 47 min ago"], [187200, "2 d 4 h ago"]]) {
    assert.equal(plain(ago(s * 1000)), text);
  }
});
