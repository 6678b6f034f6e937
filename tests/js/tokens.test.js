import assert from "node:assert/strict";
import { test } from "node:test";
import { style, tokens } from "../../static/js/tokens.js";

const kinds = (text) => tokens(text).filter((t) => t.kind !== "blank").map((t) => `${t.kind}:${t.text}`);

test("it works", () => {
  assert.deepEqual(kinds("type:A,B -source:web data.total>=100 free"), [
    "field:type", "op::", "value:A", "comma:,", "value:B", "negate:-", "field:source", "op::", "value:web",
    "field:data.total", "op:>=", "number:100", "text:free",
  ]);
});
test("quotes keep blanks, commas and escaped quotes", () => {
  assert.deepEqual(kinds('stream:"a, \\"b\\" c" x'), ["field:stream", "op::", 'quoted:"a, \\"b\\" c"', "text:x"]);
  assert.deepEqual(kinds('data."a b".c[0]:1'), ['field:data."a b".c[0]', "op::", "number:1"]);
});
test("every text is kept whole, however broken", () => {
  const parts = ["type", ":", ",", '"', "\\", "-", " ", ">", "=", "data.", "*", "<script>", "\u202e", "é", "🎉", "[", "~", "!="];
  let seed = 7;
  const random = () => { seed = (seed * 1103515245 + 12345) % 2147483648; return seed; };
  for (let n = 0; n < 3000; n += 1) {
    const text = Array.from({ length: random() % 12 }, () => parts[random() % parts.length]).join("");
    assert.equal(tokens(text).map((t) => t.text).join(""), text);
  }
});
test("a long text is read in no time", () => {
  const began = performance.now();
  for (const text of ['"'.repeat(2000), "data.".repeat(400), "a,".repeat(1000), "-".repeat(2000), '\\"'.repeat(1000)]) tokens(text);
  assert.ok(performance.now() - began < 500);
});
test("looks", () => {
  assert.equal(style({ kind: "op", text: ":" }), "q-k");
  assert.equal(style({ kind: "op", text: ">" }), "q-o");
  assert.equal(style({ kind: "text", text: "x" }), "");
});
