// Runs files of node:test, each in a process of its own, and counts what came of every test in them.
import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Tally } from "./reporter.ts";

/** Longer than any test takes on a machine under load; a test that hangs fails. */
const testTimeoutMs = 300_000;

/** Answers with the exit code; a program that a signal ended has failed. */
export function run(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<number> {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, ...env } });
    child.on("error", fail);
    child.on("exit", (code) => done(code ?? 1));
  });
}

/** What is wrong with a run besides tests that failed is in `faults`. */
export interface Outcome {
  readonly tally: Tally;
  readonly faults: readonly string[];
}

/** Paths are from the current folder. */
export async function runTestFiles(files: readonly string[], concurrency: number): Promise<Outcome> {
  const report = join(tmpdir(), `hawser-test-${process.pid}.json`);
  rmSync(report, { force: true });
  const status = await run(
    process.execPath,
    [
      "--test",
      `--test-concurrency=${concurrency}`,
      `--test-timeout=${testTimeoutMs}`,
      `--import=${join(import.meta.dirname, "handles-left.ts")}`,
      `--test-reporter=${join(import.meta.dirname, "reporter.ts")}`,
      "--test-reporter-destination=stdout",
      ...files,
    ],
    { HAWSER_TEST_REPORT: report },
  );
  if (!existsSync(report)) {
    const tally: Tally = { passed: 0, failed: 0, skipped: 0, skippedNames: [], failedNames: [], files: {} };
    return { tally, faults: [`the test runner ended with ${status} and no report`] };
  }
  const tally = JSON.parse(readFileSync(report, "utf8")) as Tally;
  rmSync(report);
  const faults = files.flatMap((file) => incomplete(file, tally) ?? []);
  if (status !== 0 && tally.failed === 0 && faults.length === 0) {
    faults.push(`the test runner ended with ${status}`);
  }
  return { tally, faults };
}

function incomplete(file: string, { files }: Tally): string | undefined {
  const { heard, ran } = files[file] ?? { heard: 0, ran: null };
  if (ran === null) {
    return `${file}: ended before its end, ${heard} tests in`;
  }
  return heard === ran ? undefined : `${file}: ran ${ran} tests, of which ${heard} reported`;
}
