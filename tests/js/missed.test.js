import assert from "node:assert/strict";
import { test } from "node:test";
import { listens } from "../../static/js/missed.js";

test("what a part listens for", () => {
  assert.ok(listens("playhead from:body, refold from:body", "refold"));
  assert.ok(listens("load, filters from:body", "filters"));
  assert.ok(!listens("load, filters from:body", "load"));
  assert.ok(!listens("unsettled from:body", "settled"));
  assert.ok(!listens(null, "playhead"));
});
