import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { positionOf } from "./hujson.ts";
import { nearest, Positions } from "./problems.ts";

const piece = fc.constantFrom("a", "\n", "é", "日", "💥", " ".repeat(500), "x".repeat(1021), "💥".repeat(300));

test("a place is its line, and its column in bytes, also on lines of any length", () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), fc.nat(), (pieces, at) => {
      const text = pieces.join("");
      const cut = pieces.slice(0, at % (pieces.length + 1)).join("").length;
      assert.deepEqual(new Positions(text).of(cut), positionOf(text, cut));
    }),
  );
});

/** The distance by its definition. */
function distance(x: string, y: string): number {
  if (x === "" || y === "") {
    return x.length + y.length;
  }
  const [restX, restY] = [x.slice(1), y.slice(1)];
  return x[0] === y[0]
    ? distance(restX, restY)
    : 1 + Math.min(distance(restX, y), distance(x, restY), distance(restX, restY));
}

test("the nearest name is the one that takes the fewest changes, if those are few", () => {
  const name = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 7 });
  fc.assert(
    fc.property(name, fc.array(name, { maxLength: 5 }), (wanted, names) => {
      const found = nearest(wanted, names);
      const near = Math.min(wanted.length, 3);
      const distances = names.map((each) => distance(wanted, each)).filter((changes) => changes < near);
      assert.equal(found !== undefined, distances.length > 0);
      assert.equal(found === undefined ? Infinity : distance(wanted, found), Math.min(...distances));
    }),
  );
});
