import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeId } from "../wire/ids.ts";
import { sampleNode, TestTailnet } from "./tailnet.test-data.ts";
import { World } from "./world.test-data.ts";

function worldOf(count: number): World<TestTailnet> {
  const tailnet = new TestTailnet();
  for (let id = 1; id <= count; id++) {
    tailnet.add(sampleNode(id));
  }
  return new World(tailnet);
}

function noFaults(world: World<TestTailnet>): void {
  assert.deepEqual(world.faults(), []);
}

test("a session's first message is the whole map", () => {
  const world = worldOf(200);
  const session = world.open(70 as NodeId);
  world.settle();
  noFaults(world);
  assert.equal(session.client.log.length, 1);
  assert.equal(session.client.peers.size, 199);
});
