import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { allKeys } from "../src/config/keys.ts";
import { configurationPage, configurationPagePath } from "./write-config-docs.ts";

test("docs/configuration.md is what the table of keys says (node scripts/write-config-docs.ts writes it)", () => {
  assert.equal(readFileSync(configurationPagePath, "utf8"), configurationPage());
});

test("every key stands on the page exactly once in a table of keys", () => {
  const rows = configurationPage().split("\n");
  for (const { key } of allKeys) {
    assert.equal(rows.filter((row) => row.startsWith(`| \`${key}\` |`)).length, 1, key);
  }
});
