// `npm test`: format, lint, types, arrows, unit, integration, end to end; one closing line over all of it.
// `npm test -- STAGE [FILTER]` runs one stage; FILTER keeps the test files whose path contains it.
import { globSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { checkArrows } from "./arrows.ts";
import { run, runTestFiles } from "./test-files.ts";

const root = join(import.meta.dirname, "..");
process.chdir(root);

const total = { passed: 0, failed: 0, skipped: 0 };
const skippedNames: string[] = [];
const failedNames: string[] = [];

/** A stage that is one check: a command that must exit with 0. */
async function check(name: string, command: string, args: readonly string[]): Promise<void> {
  count(name, (await run(join("node_modules/.bin", command), args)) === 0);
}

function count(name: string, ok: boolean): void {
  if (ok) {
    total.passed++;
  } else {
    total.failed++;
    failedNames.push(name);
  }
  console.log(`${ok ? "ok  " : "FAIL"} ${name}`);
}

/** A stage of node:test files, each in a process of its own. */
async function testFiles(
  name: string,
  patterns: readonly string[],
  filter: string,
  concurrency: number,
): Promise<void> {
  const files = patterns
    .flatMap((pattern) => globSync(pattern))
    .filter((file) => file.includes(filter))
    .sort();
  if (files.length === 0) {
    return;
  }
  const { tally, faults } = await runTestFiles(files, concurrency);
  total.passed += tally.passed;
  total.failed += tally.failed;
  total.skipped += tally.skipped;
  skippedNames.push(...tally.skippedNames);
  failedNames.push(...tally.failedNames);
  for (const fault of faults) {
    count(`${name}: ${fault}`, false);
  }
  const failed = tally.failed + faults.length;
  console.log(`     ${name}: ${tally.passed} passed, ${failed} failed, ${tally.skipped} skipped`);
}

const filter = process.argv[3] ?? "";
const stages: Readonly<Record<string, () => Promise<void>>> = {
  format: () => check("format", "oxfmt", ["--check"]),
  lint: () => check("lint", "oxlint", ["--type-aware", "--deny-warnings"]),
  types: () => check("types", "tsc", ["-p", "."]),
  arrows: async () => {
    const faults = checkArrows(join(root, "src"));
    for (const fault of faults) {
      console.log(`${fault.file}:${fault.line}: ${fault.problem}`);
    }
    count("arrows between rooms", faults.length === 0);
  },
  unit: () =>
    testFiles(
      "unit",
      ["src/**/*.test.ts", "scripts/*.test.ts", "sim/**/*.test.ts", "bench/*.test.ts"],
      filter,
      Math.max(2, cpus().length),
    ),
  integration: () => testFiles("integration", ["test/**/*.test.ts"], filter, 2),
  e2e: () => testFiles("e2e", ["e2e/**/*.test.ts"], filter, 1),
};

const only = process.argv[2];
for (const [name, stage] of Object.entries(stages)) {
  if (only === undefined || only === name) {
    const start = performance.now();
    await stage();
    console.log(`     ${name}: ${((performance.now() - start) / 1000).toFixed(1)} s`);
  }
}
for (const name of skippedNames) {
  console.log(`skipped: ${name}`);
}
for (const name of failedNames) {
  console.log(`failed: ${name}`);
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 ? 0 : 1;
