import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { formatTime, isZeroTime, parseTime, zeroTimeText } from "./time.ts";

test("times are read with any fraction and any offset", () => {
  const noon = Date.UTC(2026, 7, 22, 12, 0, 0);
  for (const [text, time] of [
    ["2026-08-22T12:00:00Z", noon],
    ["2026-08-22T12:00:00.123456789Z", noon + 123],
    ["2026-08-22T12:00:00.5Z", noon + 500],
    ["2026-08-22T14:30:00+02:30", noon],
    ["2026-08-22T05:00:00-07:00", noon],
    ["2026-08-22t12:00:00z", noon],
    ["1970-01-01T00:02:03Z", 123_000],
    ["1970-01-01T01:02:03+01:00", 123_000],
    ["2024-02-29T00:00:00Z", Date.UTC(2024, 1, 29)],
  ] as const) {
    assert.equal(parseTime(text), time, text);
  }
});

test("what is no time is not read", () => {
  for (const text of [
    "",
    "2026-08-22",
    "2026-08-22 12:00:00Z",
    "2026-08-22T12:00:00",
    "2026-13-01T00:00:00Z",
    "2026-02-29T00:00:00Z",
    "2026-08-22T24:00:00Z",
    "2026-08-22T12:60:00Z",
    "2026-08-22T12:00:00.Z",
    "2026-08-22T12:00:00+24:00",
    "2026-08-00T12:00:00Z",
  ]) {
    assert.equal(parseTime(text), undefined, text);
  }
});

test("Go's zero time is known as such", () => {
  const zero = parseTime(zeroTimeText);
  assert.ok(zero !== undefined && isZeroTime(zero));
  assert.ok(!isZeroTime(0));
});

test("what is written reads back to the millisecond, and whole seconds carry no fraction", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Date.UTC(2200, 0) }), (time) => {
      assert.equal(parseTime(formatTime(time)), time);
      assert.ok(formatTime(time).endsWith("Z"));
    }),
  );
  assert.equal(formatTime(123_000), "1970-01-01T00:02:03Z");
  assert.equal(formatTime(123_004), "1970-01-01T00:02:03.004Z");
});
