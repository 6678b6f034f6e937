import assert from "node:assert/strict";
import { test } from "node:test";
import { first, gathered, newer } from "../../static/js/newest.js";

const made = [];
const make = (html) => {
  made.push(html);
  return html.split(" ").filter(Boolean).map((row) => ({ dataset: { row } }));
};
const numbers = (rows) => rows.map((row) => Number(row.dataset.row));

test("rows that are there already are left out", () => {
  assert.deepEqual(numbers(newer("5 4 3", 3, make)), [5, 4]);
  assert.deepEqual(numbers(newer("", 3, make)), []);
});

test("the newest of several frames, once each", () => {
  const frames = [{ html: "9 8", last: 7 }, { html: "7 6 5", last: 5 }, { html: "5 4", last: 3 }];
  assert.deepEqual(numbers(gathered(frames, 10, make)), [9, 8, 7, 6, 5, 4]);
  assert.deepEqual(numbers(gathered([], 10, make)), []);
});

test("what would be taken out again is not made", () => {
  made.length = 0;
  const frames = [{ html: "9 8", last: 7 }, { html: "7 6 5", last: 4 }, { html: "4 3", last: 2 }];
  assert.deepEqual(numbers(gathered(frames, 3, make)), [9, 8, 7]);
  assert.deepEqual(made, ["9 8", "7 6 5"]);
});

test("the first rows of a text", () => {
  const html = '<tr data-row="3"><td>&lt;tr </td></tr><tr data-row="2"></tr><tr data-row="1"></tr>';
  assert.equal(first(html, 2), '<tr data-row="3"><td>&lt;tr </td></tr><tr data-row="2"></tr>');
  assert.equal(first(html, 9), html);
  assert.equal(first("", 2), "");
});
