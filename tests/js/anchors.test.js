import assert from "node:assert/strict";
import { test } from "node:test";
import { between, positionAt, read, refine, timeAt } from "../../static/js/anchors.js";

const anchors = read("1,1000;101,2000;201,2000;301,5000.5");

test("it works", () => {
  assert.deepEqual(anchors, [[1, 1000], [101, 2000], [201, 2000], [301, 5000.5]]);
  assert.equal(timeAt(anchors, 51), 1500);
  assert.equal(positionAt(anchors, 1500), 51);
});
test("a position between two is the last at or before the time", () => {
  assert.equal(positionAt(anchors, 1509.99), 51);
  assert.equal(positionAt(anchors, 1510), 52);
});
test("many positions at one time", () => {
  assert.equal(timeAt(anchors, 150), 2000);
  assert.equal(positionAt(anchors, 2000), 201);
});
test("beyond the ends it stays at the ends", () => {
  assert.equal(timeAt(anchors, 0), 1000);
  assert.equal(timeAt(anchors, 999), 5000.5);
  assert.equal(positionAt(anchors, 0), 1);
  assert.equal(positionAt(anchors, 9e9), 301);
});
test("nothing recorded", () => {
  assert.deepEqual(read(""), []);
  assert.ok(Number.isNaN(between([], 5)));
});
test("there and back for every position of a steep and a flat stretch", () => {
  const pairs = read("1,0;11,10;5000,11;5001,90000");
  for (let p = 1; p <= 5001; p += 1) {
    const found = positionAt(pairs, timeAt(pairs, p));
    assert.ok(Math.abs(found - p) <= 1, `${p} became ${found}`);
  }
});
test("an exact pair takes its place", () => {
  assert.deepEqual(refine(anchors, 50, 1234), [[1, 1000], [50, 1234], [101, 2000], [201, 2000], [301, 5000.5]]);
  assert.deepEqual(refine(anchors, 301, 6000).at(-1), [301, 6000]);
  assert.deepEqual(refine([], 5, 6), [[5, 6]]);
});
