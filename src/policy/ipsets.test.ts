import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { formatPrefix, IpSet, parsePrefix } from "../ip/index.ts";
import { resolveIpSets } from "./ipsets.ts";
import { describeProblem, Positions, Problems } from "./problems.ts";

/** The sets as texts, and what is wrong with them. */
function resolve(sets: Readonly<Record<string, readonly string[]>>): {
  readonly sets: Readonly<Record<string, readonly string[]>>;
  readonly errors: readonly string[];
} {
  const problems = new Problems(new Positions(""));
  const lists = Object.entries(sets).map(([name, items]) => ({
    name,
    at: 0,
    items: items.map((text) => ({ text, at: 0 })),
  }));
  const resolved = resolveIpSets(lists, new Map(), problems);
  return {
    sets: Object.fromEntries([...resolved].map(([name, prefixes]) => [name, prefixes.map(formatPrefix)])),
    errors: problems.errors().map(describeProblem),
  };
}

const network = fc
  .integer({ min: 24, max: 32 })
  .chain((bits) => fc.nat({ max: 255 }).map((last) => `10.0.0.${last & (256 - 2 ** (32 - bits))}/${bits}`));
const entry = fc.tuple(fc.constantFrom("", "add ", "remove "), network).map((parts) => parts.join(""));

test("entries add up and take away one after the other, in their order", () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 40 }), (entries) => {
      let wanted = IpSet.empty;
      for (const text of entries) {
        const prefix = parsePrefix(text.replace(/^\w+ /, ""));
        assert.ok(prefix !== undefined);
        const part = IpSet.ofPrefixes([prefix]);
        wanted = text.startsWith("remove") ? wanted.subtract(part) : wanted.union(part);
      }
      assert.deepEqual(resolve({ "ipset:x": entries }), {
        sets: { "ipset:x": wanted.prefixes().map(formatPrefix) },
        errors: [],
      });
    }),
  );
});

/** Each set holds the next; the last an address. */
function nested(count: number): (readonly [string, readonly string[]])[] {
  return Array.from({ length: count }, (_, index) => [
    `ipset:x${index}`,
    [index === count - 1 ? "10.0.0.1" : `ipset:x${index + 1}`],
  ]);
}

test("sets within sets are resolved, and refused where they lie too deep, in whatever order they stand", () => {
  for (const [count, fits] of [
    [64, true],
    [66, false],
    [50_000, false],
  ] as const) {
    for (const sets of [nested(count), nested(count).toReversed()]) {
      const { errors } = resolve(Object.fromEntries(sets));
      assert.equal(errors.length === 0, fits, `${count} sets`);
      assert.ok(fits || errors.some((error) => /more than 64 sets within each other/.test(error)));
    }
  }
  const { sets } = resolve(Object.fromEntries(nested(64)));
  assert.deepEqual(sets["ipset:x0"], ["10.0.0.1/32"]);
});
