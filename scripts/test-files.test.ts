// The run of test files itself: nothing that a file says is lost, and a file that does not come to its end has failed.
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { Outcome } from "./test-files.ts";

/** Runs these test files as a stage does, in a folder of their own. */
function outcomeOf(
  context: TestContext,
  sources: Readonly<Record<string, string>>,
): Outcome & { readonly said: string } {
  const folder = mkdtempSync(join(tmpdir(), "hawser-test-files-"));
  context.after(() => rmSync(folder, { recursive: true }));
  // The loader takes a file for a module by its folder's package.
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  const names = Object.keys(sources);
  for (const [name, source] of Object.entries(sources)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), `import { test } from "node:test";\n${source}`);
  }
  const { stdout, stderr, status }: SpawnSyncReturns<string> = spawnSync(
    process.execPath,
    [
      "--input-type=module",
      "--eval",
      `const { runTestFiles } = await import(${JSON.stringify(join(import.meta.dirname, "test-files.ts"))});
      const outcome = await runTestFiles(${JSON.stringify(names)}, 2);
      console.log("\\n" + JSON.stringify(outcome));`,
    ],
    // Inside of a test file node:test refuses to run others.
    {
      cwd: folder,
      encoding: "utf8",
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, HAWSER_TEST_PATIENCE_MS: "2000" },
    },
  );
  assert.equal(status, 0, stderr);
  const lines = stdout.trim().split("\n");
  const outcome = JSON.parse(lines.pop() ?? "") as Outcome;
  return { ...outcome, said: lines.join("\n") + stderr };
}

test("everything that a file reports at its end is counted, however much it is", (context) => {
  // More than a pipe holds while the reader does something else.
  const { tally, faults } = outcomeOf(context, {
    "many.test.ts": `for (let i = 0; i < 3000; i++) test("test " + i + "x".repeat(300), () => {});`,
  });
  assert.deepEqual([tally.passed, tally.failed, faults], [3000, 0, []]);
});

test("tests are counted that are only known when others are over", (context) => {
  const { tally, faults } = outcomeOf(context, {
    "slow/to-know.test.ts": `test("first", () => {});
      await new Promise((wake) => setTimeout(wake, 300));
      test("second", () => {});
      test("third", { skip: "why not" }, () => {});`,
  });
  assert.deepEqual([tally.passed, tally.failed, tally.skipped, faults], [2, 0, 1, []]);
  assert.deepEqual(tally.skippedNames, ["slow/to-know.test.ts: third (why not)"]);
});

test("a file whose process ends in the middle has failed, though the process says that all is well", (context) => {
  const { tally, faults } = outcomeOf(context, {
    "quits.test.ts": `test("first", () => {});
      test("second", () => process.exit(0));
      test("third", () => {});`,
    "stays.test.ts": `test("other", () => {});`,
  });
  assert.equal(tally.failed, 0);
  assert.match(faults.join("\n"), /^quits\.test\.ts: ended before its end, \d tests in$/);
});

test("a file that something keeps alive after its tests fails and says what does", (context) => {
  const { tally, faults, said } = outcomeOf(context, {
    "listens.test.ts": `import { createServer } from "node:net";
      test("passes", () => { createServer().listen(0, "127.0.0.1"); });`,
  });
  assert.deepEqual([tally.passed, tally.failed], [1, 1]);
  assert.match(said, /these keep the file's process alive: .*TCPServerWrap/);
  assert.deepEqual(faults, ["listens.test.ts: ended before its end, 1 tests in"]);
});

test("what goes wrong after a test's end fails its file and is told", (context) => {
  const { tally, said } = outcomeOf(context, {
    "late.test.ts": `test("passes", () => { setTimeout(() => { throw new Error("too late to be seen"); }, 50); });`,
  });
  assert.equal(tally.failed, 1);
  assert.match(said, /too late to be seen/);
});

test("what a file prepares before its first test may take long", (context) => {
  const { tally, faults } = outcomeOf(context, {
    "prepares.test.ts": `import { before } from "node:test";
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
      before(() => new Promise((wake) => setTimeout(wake, 3000)));
      test("passes", () => {});`,
  });
  assert.deepEqual([tally.passed, tally.failed, faults], [1, 0, []]);
});

test("a test that waits longer than the patience with a left handle is not cut short", (context) => {
  const { tally, faults } = outcomeOf(context, {
    "waits.test.ts": `test("waits", () => new Promise((wake) => setTimeout(wake, 5000)));`,
  });
  assert.deepEqual([tally.passed, tally.failed, faults], [1, 0, []]);
});
