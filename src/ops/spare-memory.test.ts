import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { giveSpareMemoryBack } from "./spare-memory.ts";

const megabyte = 1024 * 1024;

test("the system is asked when memory has grown, and not again before it has grown anew", async () => {
  let resident = 100 * megabyte;
  const spare = giveSpareMemoryBack({ trim: () => (resident -= 20 * megabyte), resident: () => resident, everyMs: 1 });
  await wait(40);
  assert.equal(spare.asked, 1, "after the start");
  resident += 7 * megabyte;
  await wait(40);
  assert.equal(spare.asked, 1);
  resident += 2 * megabyte;
  await wait(40);
  assert.equal(spare.asked, 2);
  spare.stop();
  resident += 100 * megabyte;
  await wait(40);
  assert.equal(spare.asked, 2);
});

test("in the middle of growth the system is not asked, but growth without end is not waited for", async () => {
  let resident = 100 * megabyte;
  const seen = { looks: 0 };
  const askedAt: number[] = [];
  const spare = giveSpareMemoryBack({
    trim: () => askedAt.push(seen.looks),
    resident: () => {
      // Forty looks of growth, then none.
      resident += seen.looks < 40 ? 10 * megabyte : 0;
      seen.looks++;
      return resident;
    },
    everyMs: 1,
  });
  while (seen.looks < 80) {
    await wait(5);
  }
  spare.stop();
  assert.equal(askedAt.length, 2, askedAt.join(" "));
  assert.ok((askedAt[0] ?? 0) > 16 && (askedAt[1] ?? 0) > 36, askedAt.join(" "));
});

test("where the system cannot be asked nothing happens", async () => {
  const spare = giveSpareMemoryBack({ trim: undefined, resident: () => 500 * megabyte, everyMs: 1 });
  await wait(20);
  assert.equal(spare.asked, 0);
  spare.stop();
});

const isGlibc =
  process.platform === "linux" && "glibcVersionRuntime" in (process.report.getReport() as { header: object }).header;

test("holes between what is in use go back to the system", { skip: !isGlibc }, () => {
  // Thousands of small native objects, every other one of which stays: the heap's top never sinks by itself.
  const script = `
    import { systemTrim } from "./spare-memory.ts";
    const trim = await systemTrim();
    const all = Array.from({ length: 60_000 }, () => Buffer.allocUnsafeSlow(2000).fill(1));
    const kept = all.filter((_, index) => index % 50 === 0);
    all.length = 0;
    globalThis.gc();
    await new Promise((done) => setTimeout(done, 50));
    globalThis.gc();
    const before = process.memoryUsage.rss();
    trim();
    console.log(Math.round((before - process.memoryUsage.rss()) / 1048576), kept.length);
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ["--expose-gc", "--input-type=module", "--eval", script], {
    cwd: import.meta.dirname,
    encoding: "utf8",
    env: { ...process.env, NODE_NO_WARNINGS: "1" },
  });
  assert.match(stdout, /^\d+ 1200$/m, stderr);
  assert.ok(Number(stdout.split(" ")[0]) > 40, `megabytes given back: ${stdout}`);
});
