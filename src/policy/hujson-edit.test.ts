import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { anyHujson, anyJson } from "./hujson.test-data.ts";
import type { HujsonEdit, HujsonPath } from "./hujson-edit.ts";
import { editHujson, setMember } from "./hujson-edit.ts";
import type { JsonValue } from "./hujson.ts";
import { parseHujson, toJson } from "./hujson.ts";

const policy = `// head
{
	// groups of people
	"groups": {
		"group:dev": ["a@", "b@"], // the devs
		// ops too
		"group:ops": ["c@"], // ops
	},
	"acls": [
		{"action": "accept"}, // one
		// two
		{"action": "accept", "src": []}
		// end
	]
}
`;

function edited(...edits: readonly HujsonEdit[]): string {
  const result = editHujson(policy, edits);
  assert.ok(result.ok, result.ok ? "" : result.error);
  return result.text;
}

suite("editing HuJSON", () => {
  test("a value is replaced and nothing else changes", () => {
    assert.equal(edited({ op: "set", path: ["groups", "group:dev", 1], value: "z@" }), policy.replace('"b@"', '"z@"'));
  });

  test("a new member goes to the end, after the comment on the last line", () => {
    const result = setMember(policy, ["groups", "group:new"], ["n@"]);
    assert.ok(result.ok);
    assert.equal(result.text, policy.replace("// ops\n", '// ops\n\t\t"group:new": ["n@"],\n'));
  });

  test("a new element goes below the comments that stand at the end", () => {
    assert.equal(
      edited({ op: "append", path: ["acls"], value: { action: "new" } }),
      policy.replace("[]}\n\t\t// end\n", '[]},\n\t\t// end\n\t\t{"action": "new"}\n'),
    );
  });

  test("what is removed takes its comments along", () => {
    assert.equal(
      edited({ op: "remove", path: ["groups", "group:ops"] }),
      policy.replace('\t\t// ops too\n\t\t"group:ops": ["c@"], // ops\n', ""),
    );
    assert.equal(edited({ op: "remove", path: ["acls", 0] }), policy.replace('\t\t{"action": "accept"}, // one\n', ""));
  });

  test("a path that leads nowhere is an error, and nothing is changed", () => {
    for (const path of [
      ["x", "y"],
      ["acls", 7],
      ["acls", "x"],
      ["groups", "group:dev", 0, "x"],
    ]) {
      const result = editHujson(policy, [
        { op: "set", path: ["ok"], value: 1 },
        { op: "set", path, value: 1 },
      ]);
      assert.equal(result.ok ? "done" : result.error.slice(0, 10), "nothing at");
    }
    assert.deepEqual(editHujson(policy, [{ op: "append", path: ["groups"], value: 1 }]), {
      ok: false,
      error: "/groups is not an array",
    });
    assert.equal(editHujson("{", []).ok, false);
  });

  test("comments that look like others, or run over several lines, stay whole", () => {
    const append = (text: string): string => {
      const result = editHujson(text, [{ op: "append", path: [], value: 2 }]);
      assert.ok(result.ok);
      return result.text;
    };
    assert.equal(append("[\n\t1, // see /* x\n]"), "[\n\t1, // see /* x\n\t2,\n]");
    assert.equal(append("[\n\t1,\n\t/* a\n// b\n*/]"), "[\n\t1,\n\t2,\n\t/* a\n// b\n*/]");
    assert.equal(append("[\n/* a\n * b\n*/]"), "[\n/* a\n * b\n*/\n\t2\n]");
    assert.equal(append("[ // a\n\t// b\n]"), "[ // a\n\t// b\n\t2\n]");
  });

  test("edits of any text mean what they would on the plain value", () => {
    fc.assert(
      fc.property(
        anyHujson,
        fc.array(fc.nat(), { maxLength: 4 }),
        fc.nat({ max: 2 }),
        anyJson,
        (dressed, picks, op, value) => {
          const plain = plainCopy(dressed.value);
          const path = pathInto(plain, picks);
          const edit: HujsonEdit =
            op === 0 ? { op: "set", path, value } : op === 1 ? { op: "append", path, value } : { op: "remove", path };
          const expected = applied(plain, edit);
          const result = editHujson(dressed.text, [edit]);
          assert.equal(result.ok, expected !== undefined);
          if (result.ok && expected !== undefined) {
            const again = parseHujson(result.text);
            assert.ok(again.ok, result.text);
            assert.deepEqual(toJson(again.value), plainCopy(expected));
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

/**
 * As written to JSON and read again, which knows no -0. Not by way of JSON.parse: Node 26.10's takes the key `"\""` for a
 * backslash when it has met `{"":0,"\\":0}` before.
 */
function plainCopy(value: JsonValue): JsonValue {
  if (Array.isArray(value)) {
    return value.map(plainCopy);
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plainCopy(item)]));
  }
  return value === 0 ? 0 : value;
}

/** A path that picks its way down; may end with a new member. */
function pathInto(value: JsonValue, picks: readonly number[]): HujsonPath {
  const [pick, ...rest] = picks;
  if (pick === undefined || value === null || typeof value !== "object") {
    return [];
  }
  const steps = Array.isArray(value) ? [...value.keys()] : [...Object.keys(value), "new member"];
  const step = steps[pick % Math.max(1, steps.length)];
  const inner: unknown = step === undefined ? undefined : Reflect.get(value, step);
  return step === undefined ? [] : [step, ...(isJson(inner) ? pathInto(inner, rest) : [])];
}

function isJson(value: unknown): value is JsonValue {
  return value !== undefined;
}

/** The edit on a plain value; undefined where it must be refused. */
function applied(value: JsonValue, edit: HujsonEdit): JsonValue | undefined {
  const copy = { root: structuredClone(value) };
  const steps = ["root", ...edit.path];
  let holder: unknown = copy;
  for (const step of steps.slice(0, -1)) {
    holder = Reflect.get(Object(holder), step);
  }
  const last = steps.at(-1) ?? "root";
  const target: unknown = Reflect.get(Object(holder), last);
  if (edit.op === "set") {
    Object.defineProperty(holder, last, { value: edit.value, writable: true, enumerable: true, configurable: true });
  } else if (edit.op === "append") {
    if (!Array.isArray(target)) {
      return undefined;
    }
    target.push(edit.value);
  } else if (edit.path.length === 0 || target === undefined) {
    return undefined;
  } else if (Array.isArray(holder)) {
    holder.splice(Number(last), 1);
  } else {
    Reflect.deleteProperty(Object(holder), last);
  }
  return copy.root;
}
