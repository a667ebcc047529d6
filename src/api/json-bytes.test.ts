import assert from "node:assert/strict";
import test from "node:test";
import * as fc from "fast-check";
import { mapInTurns, rowsInTurn } from "./in-turns.ts";
import { jsonBytes } from "./json-bytes.ts";
import { toJson } from "./json-dialect.ts";
import { bool, enumeration, json, message, num, oneOf, str, strs, sub, subs, time, u64 } from "./message.ts";
import type { MessageType, ValueOf } from "./message.ts";
import { withTurns } from "./turns.test-data.ts";

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

async function textOf<Value extends object>(type: MessageType<Value>, value: Value): Promise<string> {
  return Buffer.concat(await jsonBytes(type, value)).toString("utf8");
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

test("the bytes are those of the message's JSON, whatever it holds", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyOuter), async (rows) => {
      assert.equal(await textOf(Many, { rows }), JSON.stringify(toJson(Many, { rows })));
    }),
    { numRuns: 200 },
  );
});

test("rows that share a message each show it whole, over many pieces", async () => {
  const owners = [1, 2, 3].map((id) => ({ id, name: `owner ${id} é ${"x".repeat(id * 100)}` }));
  const rows = Array.from({ length: 2000 }, (_, id) => ({ ...Outer.unset, id, inner: owners[id % 3] ?? null }));
  assert.ok((await jsonBytes(Many, { rows })).length > 3);
  assert.equal(await textOf(Many, { rows }), JSON.stringify(toJson(Many, { rows })));
});

test("a text longer than a piece stands in one of its own", async () => {
  const value = { ...Outer.unset, fullName: "y".repeat(300_000), tags: ["é".repeat(200_000)] };
  assert.equal(await textOf(Outer, value), JSON.stringify(toJson(Outer, value)));
});

test("lists of every length are whole, and others have their turns while a long one is written", async () => {
  for (const count of [0, 1, rowsInTurn - 1, rowsInTurn, rowsInTurn + 1, 3 * rowsInTurn, 3 * rowsInTurn + 7]) {
    const rows = Array.from({ length: count }, (_, id) => ({ ...Outer.unset, id, tags: ["a", "b"] }));
    const { made: text, turns } = await withTurns(() => textOf(Many, { rows }));
    assert.equal(text, JSON.stringify(toJson(Many, { rows })), String(count));
    assert.equal(turns, Math.max(0, Math.ceil(count / rowsInTurn) - 1), String(count));
  }
});

test("rows are made in their order, a slice in each turn", async () => {
  const items = Array.from({ length: 2 * rowsInTurn + 1 }, (_, index) => index);
  let made = 0;
  const madeAtOnce: number[] = [];
  const watch = (): void => {
    madeAtOnce.push(made);
    if (made < items.length) {
      setImmediate(watch);
    }
  };
  setImmediate(watch);
  const rows = await mapInTurns(items, (item) => {
    made++;
    return item * 2;
  });
  assert.deepEqual(
    rows,
    items.map((item) => item * 2),
  );
  assert.deepEqual(madeAtOnce.slice(0, 2), [rowsInTurn, 2 * rowsInTurn]);
});
