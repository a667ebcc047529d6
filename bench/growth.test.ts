import assert from "node:assert/strict";
import { test } from "node:test";
import { growthOf, judged } from "./growth.ts";

const minutes = (count: number, value: (minute: number) => number) =>
  Array.from({ length: count }, (_, minute) => value(minute));

test("a steady leak is found at its size", () => {
  const { perHour, uncertainty } = growthOf(
    minutes(13, (minute) => 100 + minute * 0.5),
    60,
  );
  assert.ok(Math.abs(perHour - 0.3) < 1e-9 && uncertainty < 1e-9, `${perHour} ± ${uncertainty}`);
});

test("what goes up and down is no growth, and said to be uncertain", () => {
  const { perHour, uncertainty } = growthOf(
    minutes(13, (minute) => 100 + (minute % 2)),
    60,
  );
  assert.ok(Math.abs(perHour) < 0.01 && uncertainty > 0.01, `${perHour} ± ${uncertainty}`);
});

test("samples that stand closer weigh as the time that they cover", () => {
  const { perHour } = growthOf(
    minutes(20, (index) => 100 + index / 8),
    15,
  );
  assert.ok(Math.abs(perHour - 0.3) < 1e-9, String(perHour));
});

test("the beginning is not judged: five minutes, a quarter of short runs; all that follows is", () => {
  const all = minutes(30, (minute) => minute + 1);
  assert.deepEqual(judged(all, 60, 300), all.slice(5));
  assert.deepEqual(judged([1, 2, 3, 4, 5, 6, 7, 8], 60, 300), [3, 4, 5, 6, 7, 8]);
});

test("growth that comes to an end in the middle of what is judged is not passed over", () => {
  const filling = minutes(30, (minute) => 100 + Math.min(minute, 15));
  const { perHour } = growthOf(judged(filling, 60, 300), 60);
  assert.ok(perHour > 0.1, String(perHour));
});
