import assert from "node:assert/strict";
import { test } from "node:test";
import { casesFolder, runCases } from "../scripts/conformance.ts";

const counts = runCases(casesFolder());

test("there are captured cases to compare with", () => {
  assert.ok(counts.length > 0);
});

for (const { category, passed, failures } of counts) {
  test(`the policy engine answers every captured ${category} case as Tailscale does (${passed + failures.length})`, () => {
    assert.ok(passed + failures.length > 0);
    assert.deepEqual(failures, []);
  });
}
