import assert from "node:assert/strict";
import test from "node:test";
import * as fc from "fast-check";
import { jsonBytes } from "./json-bytes.ts";
import { toJson } from "./json-dialect.ts";
import { bool, enumeration, json, message, num, oneOf, str, strs, sub, subs, time, u64 } from "./message.ts";
import type { MessageType, ValueOf } from "./message.ts";

const Colour = enumeration("Colour", ["COLOUR_UNSPECIFIED", "COLOUR_RED"]);
const Inner = message("Inner", { id: u64(1), name: str(2) });
const Outer = message("Outer", {
  id: u64(1),
  fullName: str(2),
  isOn: bool(3),
  madeAt: time(4),
  tags: strs(5),
  inner: sub(6, Inner),
  inners: subs(7, Inner),
  colour: oneOf(8, Colour),
  share: num(9),
  extra: json(10),
});
const Many = message("Many", { rows: subs(1, Outer) });

function textOf<Value extends object>(type: MessageType<Value>, value: Value): string {
  return Buffer.concat(jsonBytes(type, value)).toString("utf8");
}

const plainObject = { noNullPrototype: true } as const;
const anyText = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constant('"\\\u2028é😀'));
const anyInner = fc.record({ id: fc.maxSafeNat(), name: anyText }, plainObject);
const anyOuter: fc.Arbitrary<ValueOf<typeof Outer>> = fc.record(
  {
    id: fc.maxSafeNat(),
    fullName: anyText,
    isOn: fc.boolean(),
    madeAt: fc.option(fc.integer({ min: Date.UTC(1000, 0), max: Date.UTC(9999, 0) })),
    tags: fc.array(anyText),
    inner: fc.option(anyInner),
    inners: fc.array(anyInner),
    colour: fc.constantFrom(...Colour.names),
    share: fc.double(),
    extra: fc.constantFrom(null, 1, "ä", [{ deep: "é" }]),
  },
  plainObject,
);

test("the bytes are those of the message's JSON, whatever it holds", () => {
  fc.assert(
    fc.property(fc.array(anyOuter), (rows) => {
      assert.equal(textOf(Many, { rows }), JSON.stringify(toJson(Many, { rows })));
    }),
    { numRuns: 200 },
  );
});

test("rows that share a message each show it whole, over many pieces", () => {
  const owners = [1, 2, 3].map((id) => ({ id, name: `owner ${id} é ${"x".repeat(id * 100)}` }));
  const rows = Array.from({ length: 2000 }, (_, id) => ({ ...Outer.unset, id, inner: owners[id % 3] ?? null }));
  assert.ok(jsonBytes(Many, { rows }).length > 3);
  assert.equal(textOf(Many, { rows }), JSON.stringify(toJson(Many, { rows })));
});

test("a text longer than a piece stands in one of its own", () => {
  const value = { ...Outer.unset, fullName: "y".repeat(300_000), tags: ["é".repeat(200_000)] };
  assert.equal(textOf(Outer, value), JSON.stringify(toJson(Outer, value)));
});
