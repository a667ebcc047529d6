// An edge thread that is killed, or fails: the server starts a fresh one, and the clients come back and miss nothing.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import type { SimClient } from "../sim/client.ts";
import { edgeThreadName } from "../src/control/edge-threads.ts";
import { controlWorld, type ControlWorld } from "./control-world.ts";
import { until } from "./patience.ts";
import { scrapeAtRest } from "./scrape.ts";

/** Edge threads of this process as they are started. */
function watchEdgeThreads(context: TestContext): Worker[] {
  const threads: Worker[] = [];
  const note = (worker: Worker): void => {
    if (worker.threadName === edgeThreadName) {
      threads.push(worker);
    }
  };
  process.on("worker", note);
  context.after(() => process.off("worker", note));
  return threads;
}

async function followAll(world: ControlWorld, count: number): Promise<readonly SimClient[]> {
  const sims: SimClient[] = [];
  for (let index = 0; index < count; index++) {
    const sim = world.client();
    await sim.join({ authKey: await world.authKey() });
    await sim.follow();
    sims.push(sim);
  }
  return sims;
}

function allSeeAllOnline(sims: readonly SimClient[]): boolean {
  return sims.every(
    ({ netmap }) =>
      netmap.peers.size === sims.length - 1 && [...netmap.peers.values()].every(({ Online }) => Online === true),
  );
}

/** Ends a thread and waits until those whose stream it held have a fresh one. How many those were. */
async function endAndReturn(sims: readonly SimClient[], thread: Worker, end: (thread: Worker) => unknown) {
  const had = sims.map(({ netmap, meter }) => ({ netmap, lost: meter.streamsLost }));
  const exited = new Promise((done) => thread.once("exit", done));
  await end(thread);
  await exited;
  // Its sockets are closed by now; the clients, in this same process, have yet to read that, which takes some turns.
  for (let turns = 0; turns < 10; turns++) {
    await sleep(10);
  }
  const losers = sims.filter(({ meter }, index) => meter.streamsLost > (had[index]?.lost ?? 0));
  const before = new Set(had.map(({ netmap }) => netmap));
  await until("those who lost their stream have another", () => losers.every(({ netmap }) => !before.has(netmap)));
  await until("all see each other again", () => allSeeAllOnline(sims));
  return losers.length;
}

async function changeReachesAll(sims: readonly SimClient[], endpoint: string): Promise<void> {
  const [mover, ...others] = sims;
  assert.ok(mover !== undefined);
  await mover.update({ endpoints: [endpoint] });
  const id = mover.netmap.self?.ID ?? 0;
  await until(`${endpoint} is with everybody`, () =>
    others.every(({ netmap }) => netmap.peers.get(id)?.Endpoints?.[0] === endpoint),
  );
}

const ends: readonly { readonly how: string; readonly end: (thread: Worker) => unknown }[] = [
  { how: "is killed", end: (thread) => thread.terminate() },
  {
    how: "fails",
    // No such message exists: the thread reads a property of null.
    end: (thread) => thread.postMessage({ down: [null] }), // eslint-disable-line unicorn/require-post-message-target-origin
  },
];

for (const { how, end } of ends) {
  test(`when an edge thread ${how}, a fresh one takes its place and all clients come back to what they had`, async (context) => {
    const threads = watchEdgeThreads(context);
    const world = await controlWorld(context, { metrics: true, extraConfig: "control: { threads: 2 }" });
    assert.equal(threads.length, 2);
    const sims = await followAll(world, 8);
    await until("all see each other", () => allSeeAllOnline(sims));
    let lost = 0;
    for (const [turn, thread] of threads.slice(0, 2).entries()) {
      lost += await endAndReturn(sims, thread, end);
      await until("a fresh thread is started", () => threads.length === 3 + turn);
      await changeReachesAll(sims, `198.51.100.${1 + turn}:41641`);
    }
    // Each was on one of the two threads; some were on both, one after the other.
    assert.ok(lost >= sims.length, `${lost} streams were lost`);
    const counted = await scrapeAtRest(world);
    assert.equal(counted.get("hawser_netmap_sessions"), sims.length);
    assert.equal(counted.get("hawser_control_connections_open"), sims.length);
  });
}

test("the only edge thread is killed: whoever dials finds the fresh one on the same port", async (context) => {
  const threads = watchEdgeThreads(context);
  const world = await controlWorld(context, { extraConfig: "control: { threads: 1 }" });
  const sims = await followAll(world, 3);
  await until("all see each other", () => allSeeAllOnline(sims));
  const [only] = threads;
  assert.ok(only !== undefined);
  assert.equal(await endAndReturn(sims, only, (thread) => thread.terminate()), 3);
  await changeReachesAll(sims, "198.51.100.1:41641");
  assert.equal((await world.join()).netmap.peers.size, 3);
});
