import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { formatHujson } from "./hujson-format.ts";

interface Case {
  readonly in: string;
  readonly out?: string;
  readonly error?: string;
}

const cases = readFileSync(join(import.meta.dirname, "../../test/data/hujson/cases.jsonl"), "utf8")
  .trimEnd()
  .split("\n")
  .map((line): Case => JSON.parse(line));

suite("HuJSON as Go's hujson sees it", () => {
  test("texts that it refuses are refused, with its messages", () => {
    const refused = cases.filter(({ error }) => error !== undefined);
    assert.ok(refused.length > 300);
    for (const { in: text, error } of refused) {
      const result = formatHujson(text);
      assert.equal(result.ok ? "accepted" : result.error.message, error, JSON.stringify(text));
    }
  });

  test("texts that it accepts are laid out the same, byte for byte", () => {
    const accepted = cases.filter(({ out }) => out !== undefined);
    assert.ok(accepted.length > 500);
    for (const { in: text, out } of accepted) {
      const result = formatHujson(text);
      assert.equal(result.ok ? result.text : result.error.message, out, JSON.stringify(text));
    }
  });
});
