import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDiscoKey } from "../wire/ids.ts";
import type { NodeId } from "../wire/ids.ts";
import {
  admin,
  defined,
  makeKey,
  makeUser,
  must,
  nodeKey,
  registration,
  type Rig,
  rig,
  turn,
} from "../../test/tailnet-rig.ts";
import type { Node, NodeField } from "./model.ts";

const disco = (digit: string) => defined(parseDiscoKey(`discokey:${digit.repeat(64)}`));

async function oneNode(world: Rig, ephemeral = false): Promise<Node> {
  const { tailnet } = world;
  const user = tailnet.usersByName("ada")[0] ?? (await makeUser(tailnet, "ada"));
  const key = await makeKey(tailnet, { user: user.id, ephemeral });
  const node = must(await tailnet.register(admin, registration(1, 1), key));
  world.batches.length = 0;
  return node;
}

/** The fields that each batch changed. */
function fieldsOf(world: Rig): NodeField[][] {
  return world.batches.map(({ changes }) =>
    changes.flatMap((change) => (change.kind === "node-changed" ? [...change.fields].sort() : [])),
  );
}

test("what a node tells is there at once and names what changed", async () => {
  const world = await rig();
  const { tailnet } = world;
  const { id } = await oneNode(world);
  tailnet.updatePresence(id, { endpoints: ["192.0.2.1:1"], discoKey: disco("a") });
  tailnet.updatePresence(id, { hostinfo: { Hostname: "host1", OS: "linux", NetInfo: { PreferredDERP: 7 } } });
  tailnet.updatePresence(id, { hostinfo: { Hostname: "host1", OS: "windows" } });
  tailnet.updatePresence(id, { capVersion: 120, endpoints: [] });
  assert.deepEqual(fieldsOf(world), [["disco", "endpoints"], ["derp"], ["hostinfo"], ["capver", "endpoints"]]);
  const node = defined(tailnet.node(id));
  assert.deepEqual([node.homeDerp, node.hostinfo.OS, node.capVersion], [7, "windows", 120]);
});

test("saying the same again is no event", async () => {
  const world = await rig();
  const { tailnet } = world;
  const { id } = await oneNode(world);
  const patch = {
    hostinfo: { OS: "linux", Hostname: "host1", NetInfo: { PreferredDERP: 7 } },
    endpoints: ["192.0.2.1:1"],
    discoKey: disco("a"),
  };
  tailnet.updatePresence(id, patch);
  const { version } = tailnet;
  const node = tailnet.node(id);
  tailnet.updatePresence(id, structuredClone(patch));
  assert.equal(tailnet.version, version);
  assert.equal(tailnet.node(id), node);
});

test("a missing NetInfo, a home of 0 and the zero disco key leave what was known", async () => {
  const world = await rig();
  const { tailnet } = world;
  const { id } = await oneNode(world);
  const netInfo = { PreferredDERP: 7, WorkingUDP: true };
  tailnet.updatePresence(id, { hostinfo: { Hostname: "host1", NetInfo: netInfo }, discoKey: disco("a") });
  tailnet.updatePresence(id, { hostinfo: { Hostname: "host1" }, discoKey: disco("0") });
  assert.deepEqual(tailnet.node(id)?.hostinfo.NetInfo, netInfo);
  tailnet.updatePresence(id, { hostinfo: { Hostname: "host1", NetInfo: { PreferredDERP: 0, WorkingUDP: false } } });
  const node = defined(tailnet.node(id));
  assert.deepEqual([node.homeDerp, node.discoKey, node.hostinfo.NetInfo?.WorkingUDP], [7, disco("a"), false]);
  tailnet.updatePresence(99 as NodeId, { endpoints: [] });
});

test("a hostname that changes renames the node, unless an admin chose the name", async () => {
  const world = await rig();
  const { tailnet } = world;
  const { id } = await oneNode(world);
  tailnet.updatePresence(id, { hostinfo: { Hostname: "Ada's Laptop.local" } });
  await turn();
  assert.equal(tailnet.node(id)?.givenName, "adas-laptop");
  tailnet.updatePresence(id, { hostinfo: { Hostname: "" } });
  await turn();
  assert.equal(tailnet.node(id)?.givenName, "adas-laptop", "no hostname says nothing");
  must(await tailnet.renameNode(admin, id, "Chosen"));
  tailnet.updatePresence(id, { hostinfo: { Hostname: "other" } });
  await turn();
  assert.equal(tailnet.node(id)?.givenName, "chosen");
});

test("a node that keeps changing its hostname is renamed a few times, and in the end to what it says last", async () => {
  const world = await rig();
  const { tailnet } = world;
  const { id } = await oneNode(world);
  const names = new Set<string>();
  for (let count = 1; count <= 300; count++) {
    tailnet.updatePresence(id, { hostinfo: { Hostname: `name${count}` } });
    await turn();
    names.add(defined(tailnet.node(id)).givenName);
    world.now += 10;
    tailnet.tick();
  }
  assert.equal(names.size, 20);
  assert.equal(tailnet.node(id)?.hostinfo.Hostname, "name300");
  world.now += 10_000;
  tailnet.tick();
  await turn();
  assert.equal(tailnet.node(id)?.givenName, "name300");
  await turn();
  tailnet.updatePresence(id, { hostinfo: { Hostname: "again" } });
  await turn();
  assert.equal(tailnet.node(id)?.givenName, "name300", "one more is as much as the time since has paid for");
  world.now += 10_000;
  tailnet.tick();
  await turn();
  assert.equal(tailnet.node(id)?.givenName, "again");
});

test("a node is online while one session is open and for a grace after", async () => {
  const world = await rig();
  const { tailnet } = world;
  const { id } = await oneNode(world);
  tailnet.sessionOpened(id);
  tailnet.sessionOpened(id);
  assert.equal(tailnet.node(id)?.online, true);
  tailnet.sessionClosed(id);
  world.now += 60_000;
  tailnet.tick();
  assert.equal(tailnet.node(id)?.online, true, "one session is left");
  tailnet.sessionClosed(id);
  const closedAt = world.now;
  world.now += 9_999;
  tailnet.tick();
  tailnet.sessionOpened(id);
  tailnet.sessionClosed(id);
  assert.deepEqual(fieldsOf(world), [["online"]], "a reconnect within the grace is no event");
  world.now += 10_000;
  tailnet.tick();
  assert.equal(tailnet.node(id)?.online, false);
  assert.equal(tailnet.node(id)?.lastSeen, closedAt + 9_999);
  assert.deepEqual(fieldsOf(world), [["online"], ["online"]]);
  tailnet.sessionClosed(id);
  tailnet.tick();
  assert.deepEqual(fieldsOf(world).length, 2, "a close too many is no event");
});

test("presence is written within seconds, all that changed in one go, and survives a restart", async () => {
  const world = await rig();
  const { tailnet } = world;
  const { id } = await oneNode(world);
  tailnet.updatePresence(id, { endpoints: ["192.0.2.1:1"] });
  tailnet.updatePresence(id, { endpoints: ["192.0.2.1:2"] });
  tailnet.tick();
  assert.deepEqual(world.disk.nodes.rows.get(id)?.presence.endpoints, [], "not yet");
  world.now += 2_000;
  tailnet.tick();
  await turn();
  assert.deepEqual(world.disk.nodes.rows.get(id)?.presence.endpoints, ["192.0.2.1:2"]);
  tailnet.updatePresence(id, { endpoints: ["192.0.2.1:3"] });
  await tailnet.close();
  const { tailnet: again } = await world.restart();
  assert.deepEqual(again.node(id)?.endpoints, ["192.0.2.1:3"]);
  assert.equal(again.node(id)?.online, false);
});

test("presence that could not be written is written later", async () => {
  let broken = true;
  const world = await rig({
    store: {
      disk: async () => {
        if (broken) {
          throw new Error("disk full");
        }
      },
    },
  });
  const { tailnet } = world;
  broken = false;
  const { id } = await oneNode(world);
  tailnet.updatePresence(id, { endpoints: ["192.0.2.1:1"] });
  broken = true;
  world.now += 2_000;
  tailnet.tick();
  await turn();
  assert.deepEqual(world.warnings, ["presence was not written: disk full"]);
  broken = false;
  world.now += 2_000;
  tailnet.tick();
  await turn();
  assert.deepEqual(world.disk.nodes.rows.get(id)?.presence.endpoints, ["192.0.2.1:1"]);
});

test("an expiry that passes is told once; extending the key brings it back", async () => {
  const world = await rig();
  const { tailnet } = world;
  const { id } = await oneNode(world);
  must(await tailnet.expireNode(admin, id, world.now + 1000));
  world.batches.length = 0;
  world.now += 999;
  tailnet.tick();
  assert.deepEqual(fieldsOf(world), []);
  world.now += 1;
  tailnet.tick();
  tailnet.tick();
  assert.deepEqual(fieldsOf(world), [["expiry"]]);
  must(await tailnet.expireNode(admin, id, world.now + 1000));
  world.now += 1000;
  tailnet.tick();
  assert.deepEqual(fieldsOf(world), [["expiry"], ["expiry"], ["expiry"]]);
  must(await tailnet.expireNode(admin, id, null));
  must(await tailnet.expireNode(admin, id, world.now));
  tailnet.tick();
  assert.equal(fieldsOf(world).length, 5, "an expiry set to now passes with the command");
});

test("an expiry that passed while the server was down is no event", async () => {
  const world = await rig();
  const { id } = await oneNode(world);
  must(await world.tailnet.expireNode(admin, id, world.now + 1000));
  world.now += 2000;
  const again = await world.restart();
  again.tailnet.tick();
  assert.deepEqual(again.batches, []);
});

test("an ephemeral node goes when its time after the last session is up, or after the start", async () => {
  const world = await rig();
  const { tailnet } = world;
  const { id } = await oneNode(world, true);
  tailnet.sessionOpened(id);
  world.now += 600_000;
  tailnet.tick();
  await turn();
  assert.notEqual(tailnet.node(id), undefined);
  tailnet.sessionClosed(id);
  world.now += 59_999;
  tailnet.tick();
  await turn();
  assert.notEqual(tailnet.node(id), undefined);
  world.now += 1;
  tailnet.tick();
  await turn();
  assert.equal(tailnet.node(id), undefined);
  const removed = defined(world.batches.at(-1)?.changes[0]);
  assert.ok(removed.kind === "node-removed" && removed.last.id === id);
  assert.equal(tailnet.nodeByKey(nodeKey(1)), undefined);

  const second = await oneNode(world, true);
  const again = await world.restart();
  again.now += 59_999;
  again.tailnet.tick();
  await turn();
  assert.notEqual(again.tailnet.node(second.id), undefined);
  again.now += 1;
  again.tailnet.tick();
  await turn();
  assert.equal(again.tailnet.node(second.id), undefined);
});

test("an ephemeral node that reconnects in time stays", async () => {
  const world = await rig();
  const { tailnet } = world;
  const { id } = await oneNode(world, true);
  world.now += 59_999;
  tailnet.sessionOpened(id);
  world.now += 100_000;
  tailnet.tick();
  await turn();
  assert.notEqual(tailnet.node(id), undefined);
});

test("what a listener changes becomes the next batch, in order for every listener", async () => {
  const world = await rig();
  const { tailnet } = world;
  const { id } = await oneNode(world);
  const seen: string[] = [];
  tailnet.subscribe(({ version }) => {
    seen.push(`a${version}`);
    tailnet.updatePresence(id, { capVersion: 200 });
  });
  tailnet.subscribe(({ version }) => seen.push(`b${version}`));
  const start = tailnet.version;
  tailnet.updatePresence(id, { endpoints: ["192.0.2.1:1"] });
  assert.deepEqual(seen, [`a${start + 1}`, `b${start + 1}`, `a${start + 2}`, `b${start + 2}`]);
});

test("a listener that fails stops neither the others nor the tailnet", async () => {
  const world = await rig();
  const { tailnet } = world;
  const { id } = await oneNode(world);
  tailnet.subscribe(() => {
    throw new Error("listener's bug");
  });
  let heard = 0;
  const stop = tailnet.subscribe(() => heard++);
  tailnet.updatePresence(id, { endpoints: ["192.0.2.1:1"] });
  must(await tailnet.renameNode(admin, id, "new"));
  assert.equal(heard, 2);
  assert.match(world.warnings.join(), /listener's bug/);
  stop();
  tailnet.updatePresence(id, { endpoints: [] });
  assert.equal(heard, 2);
});
