import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { giveSpareMemoryBack, memoryUse } from "./spare-memory.ts";

const megabyte = 1024 * 1024;

/** A process whose memory the test moves; asked, it gives back what it has spare, at most 20 MB at a time. */
class Machine {
  resident = 100 * megabyte;
  external = 10 * megabyte;
  readonly spare = giveSpareMemoryBack({
    trim: () => (this.resident = Math.max(80 * megabyte + this.external, this.resident - 20 * megabyte)),
    usage: () => ({ resident: this.resident, external: this.external }),
    everyMs: 1_000_000,
  });

  look(times: number): void {
    for (let time = 0; time < times; time++) {
      this.spare.look();
    }
  }
}

test("the system is asked when memory has grown, and not again before it has grown anew", () => {
  const machine = new Machine();
  machine.look(5);
  assert.equal(machine.spare.asked, 1, "after the start");
  machine.resident += 7 * megabyte;
  machine.look(5);
  assert.equal(machine.spare.asked, 1);
  machine.resident += 2 * megabyte;
  machine.look(5);
  assert.equal(machine.spare.asked, 2);
  machine.spare.stop();
});

test("after growth the system is asked once more, for what other threads' collectors let go of", () => {
  const machine = new Machine();
  machine.look(100);
  assert.equal(machine.spare.asked, 2);
  machine.spare.stop();
});

test("what the collector lets go of later goes back too, though resident memory says nothing", () => {
  const machine = new Machine();
  machine.look(30);
  // A storm's buffers: asked while they are still held, the system has nothing to give.
  machine.external += 24 * megabyte;
  machine.resident += 24 * megabyte;
  machine.look(30);
  const held = machine.resident;
  const { asked } = machine.spare;
  machine.look(30);
  assert.equal(machine.spare.asked, asked, "nothing happens");
  machine.external -= 7 * megabyte;
  machine.look(5);
  assert.equal(machine.spare.asked, asked, "too little for the milliseconds");
  machine.external -= 17 * megabyte;
  machine.look(5);
  assert.equal(machine.spare.asked, asked + 1);
  assert.ok(machine.resident < held - 16 * megabyte);
  machine.look(30);
  assert.equal(machine.spare.asked, asked + 1, "and no more");
  machine.spare.stop();
});

test("in the middle of growth the system is not asked, but growth without end is not waited for", () => {
  const machine = new Machine();
  machine.look(30);
  const { asked } = machine.spare;
  const askedAt: number[] = [];
  // Thirty looks of growth, then none.
  for (let look = 1; look <= 40; look++) {
    machine.resident += look <= 30 ? 21 * megabyte : 0;
    const before = machine.spare.asked;
    machine.look(1);
    if (machine.spare.asked > before) {
      askedAt.push(look);
    }
  }
  assert.deepEqual(askedAt, [21, 31], String(asked));
  machine.spare.stop();
});

test("where the system cannot be asked nothing happens", () => {
  const spare = giveSpareMemoryBack({ trim: undefined, usage: memoryUse, everyMs: 1_000_000 });
  spare.look();
  assert.equal(spare.asked, 0);
  spare.stop();
});

test("it looks by itself until it is stopped", async () => {
  const seen = { looks: 0 };
  const usage = (): ReturnType<typeof memoryUse> => {
    seen.looks++;
    return { resident: 0, external: 0 };
  };
  const spare = giveSpareMemoryBack({ trim: () => undefined, usage, everyMs: 1 });
  while (seen.looks < 3) {
    await wait(1);
  }
  spare.stop();
  const before = seen.looks;
  await wait(20);
  assert.equal(seen.looks, before);
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
