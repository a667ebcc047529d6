// What a policy says for the whole tailnet, as simulated clients of a running server are told it: relays, addresses and
// attributes, from the moment it is set.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MapNode } from "../src/wire/tailcfg.ts";
import { controlWorld, type ControlWorld } from "./control-world.ts";
import { until } from "./patience.ts";

const open = { acls: [{ action: "accept", src: ["*"], dst: ["*:*"] }] };

async function setPolicy({ server, actor }: ControlWorld, policy: Readonly<Record<string, unknown>>): Promise<void> {
  const set = await server.tailnet.setPolicy(actor, JSON.stringify({ ...open, ...policy }));
  assert.ok(set.ok, set.ok ? "" : set.error.text);
}

function regionsOf(sim: Awaited<ReturnType<ControlWorld["join"]>>): string {
  return Object.entries(sim.netmap.derpMap?.Regions ?? {})
    .map(([id, region]) => `${id} ${region.Nodes[0]?.HostName}`)
    .join(", ");
}

test("relays that a policy names reach clients, and leave them with the policy", async (context) => {
  const world = await controlWorld(context, { extraConfig: "policy: { mode: database }" });
  const sim = await world.join();
  assert.equal(regionsOf(sim), "999 127.0.0.1");
  const region = { RegionID: 900, RegionCode: "own", Nodes: [{ Name: "900a", HostName: "relay.example" }] };
  const says = async (derpMap: unknown, expected: string): Promise<void> => {
    await setPolicy(world, derpMap === undefined ? {} : { derpMap });
    await until(`the regions are ${expected}`, () => regionsOf(sim) === expected, 5);
  };
  await says({ Regions: { 900: region } }, "900 relay.example, 999 127.0.0.1");
  await says({ OmitDefaultRegions: true, Regions: { 900: region } }, "900 relay.example");
  const late = await world.join();
  assert.equal(regionsOf(late), "900 relay.example", "who comes now is told the same");
  await world.restart();
  const afterwards = await world.join();
  assert.equal(regionsOf(afterwards), "900 relay.example", "also after a restart");
  await setPolicy(world, { derpMap: { Regions: { 999: null } } });
  await until("the map is whole", () => regionsOf(afterwards) === "999 127.0.0.1", 5);
});

test("attributes and addresses for the whole tailnet are told at once, and taken back", async (context) => {
  const world = await controlWorld(context, { extraConfig: "policy: { mode: database }" });
  const mac = await world.join({ hostinfo: { OS: "macOS" } });
  const linux = await world.join({ hostinfo: { OS: "linux" } });
  const attributes = ({ CapMap = {} }: MapNode): readonly string[] =>
    Object.keys(CapMap)
      .filter((name) => /^(randomize-client-port|one-cgnat|disable-ipv4)/.test(name))
      .sort();
  const families = ({ Addresses }: MapNode): string => Addresses.map((text) => (text.includes(":") ? 6 : 4)).join();
  const told = (): string =>
    [mac, linux]
      .flatMap(({ netmap }) => [netmap.self, ...netmap.peers.values()])
      .map((node) => (node === undefined ? "" : families(node)))
      .join(" ");
  const own = (): string => [mac, linux].map(({ netmap: { self } }) => self && attributes(self).join()).join(" | ");

  await setPolicy(world, { randomizeClientPort: true, OneCGNATRoute: "mac-always" });
  await until(
    "the attributes are there",
    () => own() === "one-cgnat?v=true,randomize-client-port | randomize-client-port",
    5,
  );
  await setPolicy(world, { OneCGNATRoute: "mac-never", attrConfig: { "custom:tier": { type: "string" } } });
  await until("the other attribute is there", () => own() === "one-cgnat?v=false | ", 5);
  assert.equal(told(), "4,6 4,6 4,6 4,6");
  await setPolicy(world, { disableIPv4: true });
  await until("nobody has an IPv4 address", () => told() === "6 6 6 6" && own() === "disable-ipv4 | disable-ipv4", 5);
  await setPolicy(world, {});
  await until("all is as it was", () => told() === "4,6 4,6 4,6 4,6" && own() === " | ", 5);
});
