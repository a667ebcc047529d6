import assert from "node:assert/strict";
import test from "node:test";
import { expirationFrom, parseDuration, tableTime } from "./durations.ts";

test("durations are Prometheus': units from large to small", () => {
  const hour = 3_600_000;
  const cases: readonly (readonly [string, number | undefined])[] = [
    ["30m", hour / 2],
    ["24h", 24 * hour],
    ["90d", 90 * 24 * hour],
    ["1w", 7 * 24 * hour],
    ["1y", 365 * 24 * hour],
    ["1h30m", 1.5 * hour],
    ["1500ms", 1500],
    ["0", 0],
    ["", undefined],
    ["30", undefined],
    ["30m1h", undefined],
    ["1.5h", undefined],
    ["-1h", undefined],
    ["1 h", undefined],
  ];
  for (const [text, expected] of cases) {
    assert.equal(parseDuration(text), expected, text);
  }
});

test("an expiration is from now, or never, but not at once", () => {
  assert.equal(expirationFrom("1h", 1000), 3_601_000);
  assert.equal(expirationFrom("never", 1000), null);
  assert.throws(() => expirationFrom("0s", 1000), /dead at once/);
  assert.throws(() => expirationFrom("soon", 1000), /not a valid duration string: "soon"/);
});

test("tables show times in UTC", () => {
  assert.equal(tableTime(Date.UTC(2026, 0, 2, 3, 4, 5, 999)), "2026-01-02 03:04:05");
  assert.equal(tableTime(null), "N/A");
});
