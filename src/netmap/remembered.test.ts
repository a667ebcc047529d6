// What netmap remembers of the past serves those who are behind, and is bounded by that: counts, not bytes.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeId, UserId } from "../wire/ids.ts";
import type { PolicyView } from "../policy/engine.ts";
import { newSession } from "./session.ts";
import { KeepAlives } from "./keep-alive.ts";
import { sampleNode, startOfTime, TestTailnet } from "./tailnet.test-data.ts";
import { View } from "./view.ts";
import { type TestSession, World } from "./world.test-data.ts";

const node = (id: number) => id as NodeId;

const kept = 60;
/** A view remembers two changes, to come and to go, for each that the log counts; what views still hold of the past is cut by halves. */
const bound = 6 * kept;

function worldOf(count: number): { readonly world: World<TestTailnet>; readonly tailnet: TestTailnet } {
  const tailnet = new TestTailnet();
  const world = new World(tailnet, { kept });
  for (let id = 1; id <= count; id++) {
    tailnet.add(sampleNode(id, { online: true }));
    world.open(node(id));
  }
  world.settle();
  return { world, tailnet };
}

/** So many nodes join with a stream, each while the one that came three before it leaves; `from` are their ids. */
function churn({ world, tailnet }: ReturnType<typeof worldOf>, from: number, count: number): void {
  const sessions: TestSession[] = [];
  for (let id = from; id < from + count; id++) {
    tailnet.add(sampleNode(id, { online: true }));
    sessions.push(world.open(node(id)));
    world.run(100);
    if (sessions.length > 3) {
      tailnet.remove(node(sessions.shift()?.node ?? 0));
    }
  }
  world.settle();
}

test("machines that come and go for long leave nothing behind while everybody keeps up", () => {
  const held = worldOf(3);
  churn(held, 100, 500);
  assert.ok(held.world.netmap.rememberedCount <= bound, String(held.world.netmap.rememberedCount));
  assert.deepEqual(held.world.faults(), []);
});

test("what a session that is behind has not heard of is remembered until it has", () => {
  const held = worldOf(3);
  const { world, tailnet } = held;
  const slow = [...world.sessions.values()][0];
  assert.ok(slow !== undefined);
  world.block(slow);
  tailnet.change(node(2), { endpoints: ["203.0.113.2:1"] });
  churn(held, 100, 300);
  assert.ok(world.netmap.rememberedCount > 2 * bound, String(world.netmap.rememberedCount));
  world.drain(slow);
  assert.equal(world.netmap.counters.restarts, 0);
  assert.deepEqual(world.faultsOf(slow), []);
  churn(held, 1000, 200);
  assert.ok(world.netmap.rememberedCount <= bound, String(world.netmap.rememberedCount));
});

test("a session so far behind that it starts over holds nothing back", () => {
  const tailnet = new TestTailnet();
  const world = new World(tailnet, { horizon: 50, kept: 10 });
  for (let id = 1; id <= 3; id++) {
    tailnet.add(sampleNode(id, { online: true }));
    world.open(node(id));
  }
  const slow = [...world.sessions.values()][0];
  assert.ok(slow !== undefined);
  world.block(slow);
  for (let turn = 0; turn < 100; turn++) {
    tailnet.change(node(2), { endpoints: [`203.0.113.2:${turn + 1}`] });
    world.settle();
  }
  assert.ok(world.netmap.rememberedCount <= 20, String(world.netmap.rememberedCount));
  world.drain(slow);
  assert.equal(world.netmap.counters.restarts, 1);
  assert.deepEqual(world.faults(), []);
});

test("a session that is over is not watched for its silence any more", () => {
  const keepAlives = new KeepAlives(startOfTime, () => 0.5);
  const sessions = Array.from({ length: 100 }, (_, id) =>
    newSession(id, { node: node(1), capVersion: 142, compress: "", omitPeers: false }),
  );
  for (const session of sessions) {
    session.lastSent = startOfTime;
    keepAlives.watch(session);
  }
  for (const session of sessions.slice(1)) {
    session.closed = true;
    keepAlives.forget(session);
  }
  assert.equal(keepAlives.count, 1);
  assert.deepEqual(keepAlives.due(startOfTime + 60_000), sessions.slice(0, 1));
});

test("users who come and go are not remembered behind the horizon", () => {
  const nobody: PolicyView = {
    id: 1,
    peers: () => [],
    sees: () => false,
    routesOf: () => ({ id: 0, ifPrimary: [], always: [], withoutIPv4: false }),
  };
  const view = new View(nobody, () => true);
  for (let step = 1; step <= 1000; step++) {
    view.tell(step as UserId, step);
    view.forgetUser((step - 1) as UserId);
    view.forget(step - 10);
  }
  assert.deepEqual(view.toldSince(990).length, 10);
  assert.ok(view.remembered <= 10, String(view.remembered));
});
