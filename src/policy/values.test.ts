import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDuration, parseDuration } from "./durations.ts";
import { meetsCondition, parseCondition, type Attributes } from "./postures.ts";

const holds = (text: string, attributes: Attributes): boolean => {
  const parsed = parseCondition(text);
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.error);
  return meetsCondition(parsed.value, attributes);
};

test("conditions compare texts, numbers, truth values and versions", () => {
  const mac: Attributes = {
    "node:os": "macOS",
    "node:tsVersion": "1.9.2",
    "custom:n": 5,
    "custom:on": true,
    "custom:t": "a",
  };
  for (const text of [
    "node:os == 'macos'",
    'node:os != "windows"',
    "node:tsVersion < '1.40'",
    "node:tsVersion >= '1.9'",
    "custom:n > 4",
    "custom:n <= 5",
    "custom:on == true",
    "custom:t in ['a', 'b']",
    "custom:t NOT IN ['x']",
    "custom:t IS SET",
    "custom:x NOT SET",
    "custom:x is not set",
  ]) {
    assert.equal(holds(text, mac), true, text);
  }
  for (const text of [
    "custom:n == '5'",
    "custom:t > 4",
    "node:tsVersion >= '1.40'",
    "custom:t NOT SET",
    "custom:t IN []",
  ]) {
    assert.equal(holds(text, mac), false, text);
  }
});

test("an attribute that is not set meets nothing but NOT SET", () => {
  for (const text of [
    "custom:x == 'a'",
    "custom:x != 'a'",
    "custom:x < 1",
    "custom:x IN ['a']",
    "custom:x NOT IN ['a']",
    "custom:x IS SET",
  ]) {
    assert.equal(holds(text, {}), false, text);
  }
});

test("conditions that say nothing are refused", () => {
  for (const text of [
    "",
    "os == 'mac'",
    "node:os",
    "node:os == ",
    "node:os == mac",
    "node:os IN 'a'",
    "node:os IN ['a'",
    "node:os IS SET 1",
    "node:os ~ 'a'",
  ]) {
    assert.equal(parseCondition(text).ok, false, text);
  }
});

test("durations are read and written as Go does", () => {
  const cases: readonly (readonly [string, number, string])[] = [
    ["1h", 3_600_000, "1h0m0s"],
    ["1h30m", 5_400_000, "1h30m0s"],
    ["-1m", -60_000, "-1m0s"],
    ["1.5s", 1500, "1.5s"],
    ["168h0m1s", 604_801_000, "168h0m1s"],
    ["0", 0, "0s"],
    ["250ms", 250, "250ms"],
  ];
  for (const [text, milliseconds, written] of cases) {
    assert.deepEqual(parseDuration(text), { ok: true, value: milliseconds });
    assert.equal(formatDuration(milliseconds), written);
  }
});

test("what is no duration is refused in Go's words", () => {
  assert.deepEqual(parseDuration("abc"), { ok: false, error: 'time: invalid duration "abc"' });
  assert.deepEqual(parseDuration("5"), { ok: false, error: 'time: missing unit in duration "5"' });
  assert.deepEqual(parseDuration("1d"), { ok: false, error: 'time: unknown unit "d" in duration "1d"' });
  assert.equal(parseDuration("").ok, false);
});
