import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { formatHujson } from "./hujson-format.ts";
import { anyHujson, anyJson } from "./hujson.test-data.ts";
import { parseHujson, toJson } from "./hujson.ts";

function formatted(text: string): string {
  const result = formatHujson(text);
  assert.ok(result.ok, `${text}: ${result.ok ? "" : result.error.message}`);
  return result.text;
}

function valueOf(text: string): unknown {
  const result = parseHujson(text);
  assert.ok(result.ok);
  return toJson(result.value);
}

suite("formatting HuJSON", () => {
  test("a policy is laid out as people know it", () => {
    const text = `{"groups":{"group:dev":["a@x","b@x"],
"group:operators":["c@x"]},// who
"acls":[{"action":"accept","src":["group:dev"],"dst":["*:*"]},
// all
{"action":"accept","src":["*"],"dst":["tag:web:80,443","tag:database:5432","autogroup:internet:*"]}]}
`;
    assert.equal(
      formatted(text),
      `{
	"groups": {
		"group:dev":       ["a@x", "b@x"],
		"group:operators": ["c@x"],
	}, // who
	"acls": [
		{"action": "accept", "src": ["group:dev"], "dst": ["*:*"]},
		// all
		{
			"action": "accept",
			"src":    ["*"],
			"dst":    ["tag:web:80,443", "tag:database:5432", "autogroup:internet:*"],
		},
	],
}
`,
    );
  });

  test("formatting keeps the meaning and every comment, and a second time changes nothing", () => {
    fc.assert(
      fc.property(anyHujson, ({ text }) => {
        const once = formatted(text);
        assert.deepEqual(valueOf(once), valueOf(text));
        assert.equal(formatted(once), once);
        assert.equal(count(once, "note"), count(text, "note"));
        assert.equal(count(once, "/*"), count(text, "/*"));
      }),
      { numRuns: 300 },
    );
  });

  test("plain JSON stays plain JSON", () => {
    fc.assert(
      fc.property(anyJson, fc.nat({ max: 2 }), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        assert.deepEqual(JSON.parse(formatted(text)), JSON.parse(text));
      }),
    );
  });

  test("what is not HuJSON is an error, not a throw", () => {
    const result = formatHujson("{");
    assert.ok(!result.ok && result.error.message === "hujson: line 1, column 2: parsing value: unexpected EOF");
  });
});

// Strings in these texts hold neither: `note` and `/*` count comments.
function count(text: string, piece: string): number {
  return text.split(piece).length;
}
