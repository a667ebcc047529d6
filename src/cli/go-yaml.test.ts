import assert from "node:assert/strict";
import test from "node:test";
import * as fc from "fast-check";
import { parse } from "yaml";
import type { Json } from "../wire/tailcfg.ts";
import { writeGoYaml } from "./go-yaml.ts";

test("strings are bare unless they would be read as something else", () => {
  const forms: readonly (readonly [string, string])[] = [
    ["infra", "infra"],
    ["tag:web", "tag:web"],
    ["100.64.0.1", "100.64.0.1"],
    ["fd7a:115c:a1e0::1", "fd7a:115c:a1e0::1"],
    ["", '""'],
    ["true", '"true"'],
    ["no", '"no"'],
    ["null", '"null"'],
    ["123", '"123"'],
    ["1.5", '"1.5"'],
    ["12:30", '"12:30"'],
    ["2026-01-02", '"2026-01-02"'],
    ["[abc]", "'[abc]'"],
    ["a: b", "'a: b'"],
    ["it's: so", "'it''s: so'"],
    ["a #b", "'a #b'"],
    ["*", "'*'"],
    [" x", "' x'"],
    ["a\tb", '"a\\tb"'],
  ];
  for (const [text, expected] of forms) {
    assert.equal(writeGoYaml({ key: text }), `key: ${expected}\n`);
  }
});

test("several lines become a literal block", () => {
  assert.equal(writeGoYaml({ a: "x\ny" }), "a: |-\n    x\n    y\n");
  assert.equal(writeGoYaml({ a: { b: "x\ny\n" } }), "a:\n    b: |\n        x\n        y\n");
});

const text = fc.oneof(
  // The other reader takes a point without digits for a number that is none; Go's takes it for the text it is.
  fc.string().filter((value) => !/^[-+]?\._*$/.test(value)),
  fc.constantFrom("yes", "0x1f", "1e3", "- a", "a:", "?", "~", "on", "::/0", "12:30:45"),
);
const tree = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    text,
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), tie("value"), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value;

test("another YAML reader reads the same value", () => {
  fc.assert(
    fc.property(tree, (value) => {
      const read: unknown = parse(writeGoYaml(value), { version: "1.1", merge: false });
      assert.deepEqual(read, value);
    }),
    { numRuns: 300 },
  );
});
