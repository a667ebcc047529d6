// `npm test`: format, lint, types, arrows, unit, integration, end to end; one closing line over all of it.
// `npm test -- STAGE [FILTER]` runs one stage; FILTER keeps the test files whose path contains it.
import { spawn } from "node:child_process";
import { existsSync, globSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { checkArrows } from "./arrows.ts";

const root = join(import.meta.dirname, "..");
process.chdir(root);

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}
const total: Tally = { passed: 0, failed: 0, skipped: 0 };
const skippedNames: string[] = [];
const failedNames: string[] = [];

function run(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<number> {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, ...env } });
    child.on("error", fail);
    child.on("exit", (code) => done(code ?? 1));
  });
}

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
  const report = join(tmpdir(), `hawser-test-${process.pid}-${name}.jsonl`);
  const status = await run(
    process.execPath,
    [
      "--test",
      `--test-concurrency=${concurrency}`,
      // A test that hangs fails; a handle left open holds nobody up.
      `--test-timeout=${testTimeoutMs}`,
      "--test-force-exit",
      `--test-reporter=${join(root, "scripts/reporter.ts")}`,
      "--test-reporter-destination=stdout",
      ...files,
    ],
    { HAWSER_TEST_REPORT: report },
  );
  if (!existsSync(report)) {
    count(`${name}: the test runner ended with ${status} and no report`, false);
    return;
  }
  const tally = JSON.parse(readFileSync(report, "utf8")) as Tally & { skippedNames: string[]; failedNames: string[] };
  rmSync(report);
  total.passed += tally.passed;
  total.failed += tally.failed;
  total.skipped += tally.skipped;
  skippedNames.push(...tally.skippedNames);
  failedNames.push(...tally.failedNames);
  if (status !== 0 && tally.failed === 0) {
    count(`${name}: the test runner ended with ${status}`, false);
  }
  console.log(`     ${name}: ${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped`);
}

/** Longer than any test takes on a machine under load. */
const testTimeoutMs = 300_000;
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
