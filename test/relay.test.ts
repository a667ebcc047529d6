// Simulated nodes on the server's own relay.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DerpClient } from "../sim/derp.ts";
import { generatePrivateKey, nodeKeyText } from "../src/wire/keys.ts";
import { controlWorld, type ControlWorld } from "./control-world.ts";
import { until } from "./patience.ts";

async function relayed(world: ControlWorld, webSocket = false) {
  const sim = await world.join();
  const packets: string[] = [];
  const derp = await DerpClient.connect({
    url: new URL("/derp", world.url),
    nodeKey: sim.nodeKey,
    webSocket,
    onPacket: (source, packet) => packets.push(`${source} ${packet.toString()}`),
  });
  return { sim, derp, packets };
}

test("two nodes exchange packets, natively and over a WebSocket", async (context) => {
  const world = await controlWorld(context);
  const [a, b] = [await relayed(world), await relayed(world, true)];
  context.after(() => [a, b].forEach(({ derp }) => derp.close()));
  a.derp.send(b.sim.nodeKeyText, Buffer.from("to b"));
  b.derp.send(a.sim.nodeKeyText, Buffer.from("to a"));
  await until("both packets arrive", () => a.packets.length === 1 && b.packets.length === 1);
  assert.deepEqual(a.packets, [`${b.sim.nodeKeyText} to a`]);
  assert.deepEqual(b.packets, [`${a.sim.nodeKeyText} to b`]);
  await a.derp.ping();
});

test("who is no node of the tailnet is not let in", async (context) => {
  const world = await controlWorld(context);
  const stranger = generatePrivateKey();
  await assert.rejects(DerpClient.connect({ url: new URL("/derp", world.url), nodeKey: stranger }), /closed/);
  assert.equal(world.server.tailnet.nodeByKey(nodeKeyText(stranger.publicRaw)), undefined);
});
