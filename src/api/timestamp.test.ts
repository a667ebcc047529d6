import assert from "node:assert/strict";
import test from "node:test";
import * as fc from "fast-check";
import { parseTimestamp, timestampText } from "./timestamp.ts";

const range = { min: Date.UTC(1, 0) - 1, max: Date.UTC(9999, 11, 31, 23, 59, 59, 999) };
const aDay = Date.UTC(2026, 1, 28);
/** Often of the same day, as the times of a list are. */
const anyTime = fc.oneof(fc.integer(range), fc.integer({ min: aDay - 5000, max: aDay + 86_405_000 }));

test("a time is written as Date writes it, without zeros for a fraction, and is read back", () => {
  fc.assert(
    fc.property(fc.array(anyTime), (times) => {
      for (const ms of times) {
        const text = timestampText(ms);
        assert.equal(text, new Date(ms).toISOString().replace(".000Z", "Z"));
        assert.equal(parseTimestamp(text), /^[-+]/.test(text) ? undefined : ms);
      }
    }),
    { numRuns: 300 },
  );
});

test("fractions of a millisecond are cut, and a time out of range is a fault", () => {
  assert.equal(timestampText(-0.5), "1970-01-01T00:00:00Z");
  assert.equal(timestampText(1.9), "1970-01-01T00:00:00.001Z");
  assert.throws(() => timestampText(Number.NaN), RangeError);
  assert.equal(timestampText(86_400_000), "1970-01-02T00:00:00Z");
});

test("a day that was read before makes no wrong clock right", () => {
  assert.equal(parseTimestamp("2026-01-02T03:04:05Z"), Date.UTC(2026, 0, 2, 3, 4, 5));
  const wrong = [
    "24:00:00Z",
    "03:60:00Z",
    "03:04:60Z",
    "0a:04:05Z",
    "03-04:05Z",
    "03:04-05Z",
    "03:04:05",
    "03:04:05.6x8Z",
    "03:04:05z",
  ];
  for (const clock of wrong) {
    assert.equal(parseTimestamp(`2026-01-02T${clock}`), undefined, clock);
  }
  assert.equal(parseTimestamp("2026-01-02T03:04:05.6Z"), Date.UTC(2026, 0, 2, 3, 4, 5, 600));
  assert.equal(parseTimestamp("2026-01-02T03:04:05.678Z"), Date.UTC(2026, 0, 2, 3, 4, 5, 678));
  assert.equal(parseTimestamp("2026-01-02T03:04:05+01:00"), Date.UTC(2026, 0, 2, 2, 4, 5));
});
