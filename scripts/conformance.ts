// `npm run conformance`: runs every captured case of a folder through the policy engine and compares filters, SSH rules,
// capabilities, peers, allowed IPs, primary routes, auto-approvals and refusals. Nothing is skipped.
// POLICY_CASES_DIR names another folder of the same layout: <category>/<id>.json.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { compareCase } from "./conformance-compare.ts";
import { parseCase } from "./conformance-case.ts";

export interface CategoryCount {
  readonly category: string;
  readonly passed: number;
  readonly failures: readonly CaseFailure[];
}

export interface CaseFailure {
  readonly id: string;
  readonly differences: readonly string[];
}

/** The folder of the cases: the environment's, else the copy in this repository. */
export function casesFolder(): string {
  const given = process.env["POLICY_CASES_DIR"];
  return given === undefined || given === "" ? join(import.meta.dirname, "..", "test", "policy-cases") : given;
}

export function runCases(folder: string): readonly CategoryCount[] {
  const categories = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
  return categories.map((category) => {
    const files = readdirSync(join(folder, category))
      .filter((name) => name.endsWith(".json"))
      .sort();
    const results = files.map((file) => runCase(join(folder, category, file), category));
    return {
      category,
      passed: results.filter(({ differences }) => differences.length === 0).length,
      failures: results.filter(({ differences }) => differences.length > 0),
    };
  });
}

/** A case that cannot be read, or makes the engine throw, has failed like one that differs. */
function runCase(path: string, category: string): CaseFailure {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    const one = parseCase(value);
    return { id: one.id, differences: compareCase(one, category) };
  } catch (error) {
    return { id: path, differences: [error instanceof Error ? (error.stack ?? error.message) : String(error)] };
  }
}

function main(): void {
  const folder = casesFolder();
  const counts = runCases(folder);
  let passed = 0;
  let failed = 0;
  for (const { category, passed: right, failures } of counts) {
    for (const { id, differences } of failures) {
      console.log(`FAIL ${category}/${id}`);
      differences.slice(0, 6).forEach((line) => console.log(`     ${line}`));
    }
    console.log(`${category.padEnd(12)} ${right} of ${right + failures.length}`);
    passed += right;
    failed += failures.length;
  }
  console.log(`${passed} passed, ${failed} failed, 0 skipped`);
  // A folder without cases proves nothing.
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}

if (import.meta.main) {
  main();
}
