import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { anyHujson, anyJson } from "./hujson.test-data.ts";
import type { HujsonNode } from "./hujson.ts";
import {
  findDuplicateNames,
  maxHujsonDepth,
  maxHujsonLength,
  memberOf,
  parseHujson,
  positionOf,
  printHujson,
  toJson,
} from "./hujson.ts";

function parsed(text: string): HujsonNode {
  const result = parseHujson(text);
  assert.ok(result.ok, `${JSON.stringify(text)}: ${result.ok ? "" : result.error.message}`);
  return result.value;
}

function fault(text: string): string {
  const result = parseHujson(text);
  return result.ok ? "accepted" : result.error.message;
}

suite("reading HuJSON", () => {
  test("comments and trailing commas are accepted and printed back", () => {
    const text = '// head\n{ /* a */ "x" : [1, 2, ], // one\n "y": null /* b */ , }\n// tail\n';
    assert.deepEqual(toJson(parsed(text)), { x: [1, 2], y: null });
    assert.equal(printHujson(parsed(text)), text);
  });

  test("a line comment at the very end needs a line break", () => {
    assert.equal(fault("{} // end"), "hujson: line 1, column 4: parsing comment: unexpected EOF");
    assert.equal(fault("{} // end\n"), "accepted");
  });

  test("columns count bytes, offsets count characters", () => {
    const result = parseHujson('{\n  "é😀" 1}');
    assert.ok(!result.ok);
    assert.deepEqual(result.error, {
      message: "hujson: line 2, column 12: invalid character '1' after object name",
      line: 2,
      column: 12,
      offset: 10,
    });
    assert.deepEqual(positionOf("a\nbé\nc", 4), { line: 2, column: 4 });
  });

  test("printing a tree gives back the text, and its value is the one that was dressed", () => {
    fc.assert(
      fc.property(anyHujson, ({ text, value }) => {
        const root = parsed(text);
        assert.equal(printHujson(root), text);
        assert.deepEqual(toJson(root), JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test("every value stands between its offsets", () => {
    const check = (node: HujsonNode, text: string): void => {
      const own = text.slice(node.start, node.end);
      assert.deepEqual(toJson(parsed(own)), toJson(node));
      const inner =
        node.kind === "object" ? node.members.map(({ value }) => value) : node.kind === "array" ? node.elements : [];
      inner.forEach((value) => check(value, text));
    };
    fc.assert(fc.property(anyHujson, ({ text }) => check(parsed(text), text)));
  });

  test("plain JSON is read as JSON.parse reads it, and what JSON.parse takes is taken", () => {
    fc.assert(
      fc.property(anyJson, fc.nat({ max: 3 }), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        assert.deepEqual(toJson(parsed(text)), JSON.parse(text));
      }),
    );
    const noise = fc.string({
      unit: fc.constantFrom(...Array.from('{}[]",:0123456789-+.eEtrufalsn \n\t\\')),
      maxLength: 12,
    });
    fc.assert(
      fc.property(noise, (text) => {
        let expected: unknown;
        try {
          expected = JSON.parse(text);
        } catch {
          return;
        }
        assert.deepEqual(toJson(parsed(text)), expected);
      }),
      { numRuns: 2000 },
    );
  });

  test("a text changed anywhere is read or refused, never more", () => {
    const change = fc.record({
      at: fc.nat(),
      cut: fc.nat({ max: 3 }),
      put: fc.constantFrom("", ...Array.from('{}[]",:/*\\x0é\n\u0000')),
    });
    fc.assert(
      fc.property(anyHujson, fc.array(change, { minLength: 1, maxLength: 3 }), ({ text }, changes) => {
        let broken = text;
        for (const { at, cut, put } of changes) {
          const place = at % (broken.length + 1);
          broken = broken.slice(0, place) + put + broken.slice(place + cut);
        }
        const result = parseHujson(broken);
        if (result.ok) {
          assert.equal(printHujson(result.value), broken);
        } else {
          assert.ok(result.error.offset <= broken.length);
          assert.match(result.error.message, /^hujson: line \d+, column \d+: ./);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("nesting and length are bounded", () => {
    assert.equal(fault("[".repeat(maxHujsonDepth) + "]".repeat(maxHujsonDepth)), "accepted");
    assert.match(
      fault("[".repeat(maxHujsonDepth + 1) + "]".repeat(maxHujsonDepth + 1)),
      /column 129: nested more than/,
    );
    assert.match(fault("[".repeat(1_000_000)), /nested more than/);
    assert.match(fault(`"${"x".repeat(maxHujsonLength)}"`), /longer than/);
    assert.equal(fault(`["${"x".repeat(maxHujsonLength - 4)}"]`), "accepted");
  });

  test("a bare surrogate in an escape becomes the replacement character", () => {
    assert.equal(toJson(parsed('"\\ud800x"')), "\ufffdx");
  });

  test("names that stand twice are found, nested ones too", () => {
    const text = '{"a": 1, "b": {"x/y": 1, "x\\/y": 2}, "a": [{"c": 1, "c": 1}]}';
    assert.deepEqual(
      findDuplicateNames(parsed(text)).map(({ name, within, first, second }) => [name, within, first, second]),
      [
        ["x/y", "/b", text.indexOf('"x/y"'), text.indexOf('"x\\/y"')],
        ["a", "", text.indexOf('"a"'), text.lastIndexOf('"a"')],
        ["c", "/a/0", text.indexOf('"c"'), text.lastIndexOf('"c"')],
      ],
    );
    const last = memberOf(parsed(text), "a");
    assert.equal(last?.kind, "array");
    assert.deepEqual(
      toJson(parsed('{"__proto__": {"x": 1}, "a": 1, "a": 2}')),
      JSON.parse('{"__proto__": {"x": 1}, "a": 2}'),
    );
  });
});
