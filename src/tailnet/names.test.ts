import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { derivesFrom, labelFault, NameTable, sanitizeHostname } from "./names.ts";

test("hostnames become labels", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["laptop", "laptop"],
    ["Ada's MacBook Pro.local", "adas-macbook-pro"],
    ["a.b_c@d e", "a-b-c-d-e"],
    ["host.localdomain", "host"],
    ["host.lan.localdomain.local", "host"],
    ["--x--", "x"],
    ["", "node"],
    ["日本語", "node"],
    ["ünïcode", "ncode"],
    [".local", "node"],
    ["a".repeat(80), "a".repeat(63)],
    [`${"a".repeat(62)}-b`, "a".repeat(62)],
    [`${"é".repeat(31)}xyz`, "x"],
  ];
  for (const [hostname, label] of cases) {
    assert.equal(sanitizeHostname(hostname), label, hostname);
  }
});

test("whatever a machine calls itself, its label is valid", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ maxLength: 200 }), fc.string({ unit: "binary", maxLength: 200 })), (hostname) => {
      assert.equal(labelFault(sanitizeHostname(hostname)), undefined);
    }),
  );
});

test("a text that is no label is told why", () => {
  assert.equal(labelFault("a-1"), undefined);
  assert.match(labelFault("bad name") ?? "", /"bad name" is not a valid DNS label: contains invalid character ' '/);
  for (const text of ["", "-a", "a-", "a".repeat(64), "ä", "a.b"]) {
    assert.notEqual(labelFault(text), undefined, text);
  }
});

test("a numbered name derives from its base, also where the base was cut", () => {
  assert.equal(derivesFrom("box", "box"), true);
  assert.equal(derivesFrom("box-12", "box"), true);
  assert.equal(derivesFrom("box-x", "box"), false);
  assert.equal(derivesFrom("box-01", "box"), false);
  const long = "a".repeat(63);
  const table = new NameTable();
  table.take(long);
  const second = table.unique(long);
  assert.equal(second, `${"a".repeat(61)}-1`);
  assert.equal(derivesFrom(second, long), true);
});

test("unique names are the lowest free numbers, as a plain search would find them", () => {
  const step = fc.oneof(
    fc.record({ take: fc.constantFrom("a", "b", "a-1", "a-2") }),
    fc.record({ free: fc.nat({ max: 40 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const table = new NameTable();
      const taken: string[] = [];
      for (const one of steps) {
        if ("free" in one) {
          const [name] = taken.splice(one.free, 1);
          if (name !== undefined) {
            table.free(name);
          }
          continue;
        }
        const name = table.unique(one.take);
        let expected: string = one.take;
        for (let count = 1; taken.includes(expected); count++) {
          expected = `${one.take}-${count}`;
        }
        assert.equal(name, expected);
        table.take(name);
        taken.push(name);
      }
    }),
  );
});

test("machines that came with one name and left are not remembered, however long the name", () => {
  const table = new NameTable();
  for (let day = 0; day < 1000; day++) {
    for (const base of [`box${day}`, `${"long".repeat(14)}x${day}`]) {
      table.take(base);
      const second = table.unique(base);
      table.take(second);
      table.free(second);
      table.free(base);
    }
  }
  assert.ok(table.bases <= 4, String(table.bases));
});
