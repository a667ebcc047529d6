import assert from "node:assert/strict";
import test from "node:test";
import * as fc from "fast-check";
import { neverNoted } from "./timestamp.ts";
import { fieldFromQuery, fromJson, toJson } from "./json-dialect.ts";
import { bool, enumeration, message, oneOf, str, strs, sub, subs, time, u64 } from "./message.ts";
import type { ValueOf } from "./message.ts";

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
});

const full: ValueOf<typeof Outer> = {
  id: 2 ** 53 - 1,
  fullName: "Ada",
  isOn: true,
  madeAt: Date.UTC(2026, 0, 2, 3, 4, 5, 600),
  tags: ["tag:a"],
  inner: { id: 1, name: "x" },
  inners: [{ id: 2, name: "y" }],
  colour: "COLOUR_RED",
};

test("unset fields are written, ids as text, times in RFC 3339, enums by name", () => {
  assert.deepEqual(toJson(Outer, full), {
    id: "9007199254740991",
    fullName: "Ada",
    isOn: true,
    madeAt: "2026-01-02T03:04:05.600Z",
    tags: ["tag:a"],
    inner: { id: "1", name: "x" },
    inners: [{ id: "2", name: "y" }],
    colour: "COLOUR_RED",
  });
  assert.deepEqual(toJson(Outer, Outer.unset), {
    id: "0",
    fullName: "",
    isOn: false,
    madeAt: null,
    tags: [],
    inner: null,
    inners: [],
    colour: "COLOUR_UNSPECIFIED",
  });
});

test("camelCase and snake_case, numbers and their text, are read alike; unknown fields and nulls are passed over", () => {
  const camel = fromJson(Outer, { id: "7", fullName: "Ada", isOn: true, colour: "COLOUR_RED", extra: { deep: 1 } });
  const snake = fromJson(Outer, { id: 7, full_name: "Ada", is_on: true, colour: 1, made_at: null, tags: null });
  assert.ok(camel.ok && snake.ok);
  assert.deepEqual(camel.value, snake.value);
  assert.deepEqual(camel.value, { ...Outer.unset, id: 7, fullName: "Ada", isOn: true, colour: "COLOUR_RED" });
});

test("a value of the wrong kind is refused with the field's name", () => {
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ fullName: 5 }, /fullName: expected a string, not 5/],
    [{ isOn: "true" }, /isOn: expected true or false/],
    [{ id: "-1" }, /id: expected a number/],
    [{ id: 1.5 }, /id: expected a number/],
    [{ id: "9007199254740993" }, /id: expected a number/],
    [{ madeAt: "yesterday" }, /madeAt: expected a time/],
    [{ madeAt: "2026-02-30T00:00:00Z" }, /madeAt: expected a time/],
    [{ tags: "tag:a" }, /tags: expected a list/],
    [{ inner: [] }, /inner: expected an object/],
    [{ inners: [{ id: true }] }, /inners: invalid value for field id/],
    [{ colour: "COLOUR_BLUE" }, /colour: expected one of its names/],
  ];
  for (const [input, problem] of cases) {
    const decoded = fromJson(Outer, input);
    assert.ok(!decoded.ok, JSON.stringify(input));
    assert.match(decoded.problem, problem);
  }
});

test("fields of the prototype are not taken for given ones", () => {
  const decoded = fromJson(message("Odd", { constructor: str(1), toString: str(2) }), {});
  assert.ok(decoded.ok);
  assert.deepEqual({ ...decoded.value }, { constructor: "", toString: "" });
});

test("year 1 is the first time, in a body and in a query", () => {
  const decoded = fromJson(Outer, { madeAt: "0001-01-01T00:00:00Z" });
  assert.ok(decoded.ok);
  assert.equal(decoded.value.madeAt, neverNoted);
  assert.equal(fromJson(Outer, { madeAt: "0000-12-31T23:59:59Z" }).ok, false);
  const [, , , madeAt] = Outer.fields;
  assert.ok(madeAt !== undefined);
  assert.deepEqual(fieldFromQuery(madeAt, ["0001-01-01T00:00:00Z"]), { ok: true, value: neverNoted });
});

test("times with other offsets and finer fractions are read to the millisecond", () => {
  const read = (text: string): number | null | undefined => {
    const decoded = fromJson(Outer, { madeAt: text });
    return decoded.ok ? decoded.value.madeAt : undefined;
  };
  assert.equal(read("2026-01-02T03:04:05+02:30"), Date.UTC(2026, 0, 2, 0, 34, 5));
  assert.equal(read("2026-01-02T03:04:05.123456789Z"), Date.UTC(2026, 0, 2, 3, 4, 5, 123));
  assert.equal(read("2026-01-02T24:00:00Z"), undefined);
});

const plainObject = { noNullPrototype: true } as const;
const anyInner = fc.record({ id: fc.maxSafeNat(), name: fc.string() }, plainObject);
const fields: { [Key in keyof ValueOf<typeof Outer>]: fc.Arbitrary<ValueOf<typeof Outer>[Key]> } = {
  id: fc.maxSafeNat(),
  fullName: fc.string(),
  isOn: fc.boolean(),
  madeAt: fc.option(fc.integer({ min: Date.UTC(1000, 0), max: Date.UTC(9999, 0) })),
  tags: fc.array(fc.string()),
  inner: fc.option(anyInner),
  inners: fc.array(anyInner),
  colour: fc.constantFrom(...Colour.names),
};
const anyValue = fc.record(fields, plainObject);

test("what is written is read back the same", () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const decoded = fromJson(Outer, JSON.parse(JSON.stringify(toJson(Outer, value))));
      assert.deepEqual(decoded, { ok: true, value });
    }),
    { numRuns: 200 },
  );
});

test("any JSON is either read or refused, never thrown at", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (input) => {
      assert.equal(typeof fromJson(Outer, input).ok, "boolean");
    }),
    { numRuns: 200 },
  );
});
