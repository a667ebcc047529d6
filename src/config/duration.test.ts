import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { formatGoDuration, parseGoDuration, parsePrometheusDuration } from "./duration.ts";

suite("durations", () => {
  test("Go's form is read as Go reads it", () => {
    const read: Readonly<Record<string, number>> = {
      "0": 0,
      "0s": 0,
      "800ms": 800,
      "1h30m": 5_400_000,
      "1.5h": 5_400_000,
      ".5s": 500,
      "1.s": 1000,
      "-3s": -3000,
      "+3s": 3000,
      "1us": 0.001,
      "1µs": 0.001,
      "100ns": 0.0001,
      "1m1m": 120_000,
    };
    for (const [text, expected] of Object.entries(read)) {
      const value = parseGoDuration(text);
      assert.ok(value !== undefined && Math.abs(value - expected) < 1e-9, text);
    }
    for (const text of ["", "1", "s", ".s", "1d", "1 s", " 1s", "1h-1m", "--1s", "1S", "9999999999h", "0x1s", "1e3s"]) {
      assert.equal(parseGoDuration(text), undefined, text);
    }
  });

  test("Prometheus' form has days, weeks and years, largest first", () => {
    assert.equal(parsePrometheusDuration("180d"), 180 * 86_400_000);
    assert.equal(parsePrometheusDuration("1y2w3d4h5m6s7ms"), 365 * 86_400_000 + 17 * 86_400_000 + 14_706_007);
    assert.equal(parsePrometheusDuration("0"), 0);
    for (const text of ["", "1", "1.5h", "1h1d", "d", "-1d", "1d ", "300y"]) {
      assert.equal(parsePrometheusDuration(text), undefined, text);
    }
  });

  test("what is printed reads back", () => {
    assert.equal(formatGoDuration(65_000), "1m5s");
    assert.equal(formatGoDuration(10_800_000), "3h0m0s");
    assert.equal(formatGoDuration(800), "800ms");
    fc.assert(
      fc.property(fc.integer({ min: -9e12, max: 9e12 }), (ms) =>
        assert.equal(parseGoDuration(formatGoDuration(ms)), ms),
      ),
    );
  });
});
