// What sessions are told, message by message, and what it costs: the counts are the promise, so they are asserted.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node } from "../tailnet/model.ts";
import type { NodeId, NodeKey, UserId } from "../wire/ids.ts";
import type { DERPMap, MapResponse } from "../wire/tailcfg.ts";
import type { NetmapCounters } from "./counters.ts";
import { hexOf, openRules, prefix, sampleNode, TestTailnet } from "./tailnet.test-data.ts";
import { type TestSession, World } from "./world.test-data.ts";

type TestWorld = World<TestTailnet>;
const node = (id: number) => id as NodeId;

/**
 * A tailnet of online nodes that all see each other, each with a session. Of more than fifty sessions only the first ten
 * read what they are sent.
 */
function worldOf(count: number, sessions = count): TestWorld {
  const tailnet = new TestTailnet();
  for (let id = 1; id <= count; id++) {
    tailnet.add(sampleNode(id, { online: true }));
  }
  const world = new World(tailnet);
  for (let id = 1; id <= sessions; id++) {
    world.open(node(id), { deaf: count > 50 && id > 10 });
  }
  world.settle();
  for (const session of world.sessions.values()) {
    session.client.log.length = 0;
  }
  return world;
}

/** What the counters moved by while `act` and all that follows from it happened. */
function spent(world: TestWorld, act: () => void): NetmapCounters {
  const before = { ...world.netmap.counters };
  act();
  world.settle();
  const after: NetmapCounters = { ...world.netmap.counters };
  for (const name of Object.keys(after) as (keyof NetmapCounters)[]) {
    after[name] -= before[name];
  }
  return after;
}

/** The messages that the session of this node got since it was last asked. */
function heard(world: TestWorld, id: number): MapResponse[] {
  const session = [...world.sessions.values()].find((candidate) => candidate.node === id);
  return session?.client.log.splice(0).map(({ message }) => message) ?? [];
}

function largest(world: TestWorld): number {
  return Math.max(...[...world.sessions.values()].flatMap(({ client }) => client.log.map(({ bytes }) => bytes)));
}

function noFaults(world: TestWorld): void {
  assert.deepEqual(world.faults(), []);
}

// Full maps.

test("a session's first message is the whole map, with the viewer not among its peers", () => {
  const tailnet = new TestTailnet();
  for (let id = 1; id <= 200; id++) {
    tailnet.add(sampleNode(id));
  }
  const world = new World(tailnet);
  const session = world.open(node(70));
  world.settle();
  noFaults(world);
  assert.equal(session.client.log.length, 1);
  assert.equal(session.client.peers.size, 199);
});

test("blocks of peers are compressed once for all sessions that come", () => {
  const world = worldOf(640, 0);
  // All of one class, and so of one view.
  const first = spent(world, () => world.open(node(1)));
  assert.deepEqual([first.fullMaps, first.blocks, first.encodes], [1, 10, 639]);
  // Its own block is made without the viewer; the first block was not made whole yet when that is another one.
  const neighbour = spent(world, () => world.open(node(4)));
  assert.deepEqual([neighbour.blocks, neighbour.encodes], [1, 1]);
  const elsewhere = spent(world, () => world.open(node(301)));
  assert.deepEqual([elsewhere.blocks, elsewhere.encodes], [2, 0]);
  const next = spent(world, () => world.open(node(304)));
  assert.deepEqual([next.blocks, next.compressions, next.encodes], [1, 1, 0]);
  noFaults(world);
});

test("a node that is alone is told of no peers at all", () => {
  const world = worldOf(1, 0);
  const session = world.open(node(1));
  assert.equal(session.client.log[0]?.message.Peers, undefined);
  noFaults(world);
});

test("a node whose block it fills alone does not break the list", () => {
  const world = worldOf(65, 0);
  world.open(node(65));
  world.open(node(1));
  noFaults(world);
  for (let id = 1; id <= 63; id++) {
    world.tailnet.remove(node(id));
  }
  world.settle();
  world.open(node(64));
  world.settle();
  noFaults(world);
});

test("a session that asks for raw JSON gets it", () => {
  const world = worldOf(130, 0);
  world.open(node(3), { compression: "" });
  world.open(node(4));
  world.tailnet.change(node(9), { givenName: "renamed" });
  world.settle();
  noFaults(world);
});

test("a session without peers is told of its own node only", () => {
  const world = worldOf(5, 0);
  const session = world.open(node(1), { omitPeers: true });
  world.tailnet.change(node(2), { givenName: "renamed" });
  world.tailnet.change(node(1), { givenName: "myself" });
  world.settle();
  assert.equal(session.client.peers.size, 0);
  assert.deepEqual(
    session.client.log.map(({ message }) => message.Node?.Name),
    ["host-1.tail.example.com.", "myself.tail.example.com."],
  );
  noFaults(world);
});

test("older clients are told what they understand", () => {
  const world = worldOf(2, 0);
  const old = world.open(node(1), { capVersion: 113 });
  const young = world.open(node(2), { capVersion: 142 });
  assert.deepEqual(Object.keys(old.client.derp?.Regions ?? {}), ["900"]);
  assert.deepEqual(Object.keys(young.client.derp?.Regions ?? {}), ["900", "901"]);
  const first = (session: TestSession) => session.client.log[0]?.message as unknown as Record<string, unknown>;
  assert.equal(first(old)["DefaultAutoUpdate"], false);
  assert.equal("DefaultAutoUpdate" in first(young), false);
  assert.deepEqual(first(young)["Debug"], { DisableLogTail: true });
  noFaults(world);
});

test("a request that is not a stream gets one message with everything as it is now", () => {
  const world = worldOf(100, 3);
  world.tailnet.change(node(50), { givenName: "fresh" });
  const session = world.open(node(7));
  const message = world.netmap.once({ node: node(7), capVersion: 142, compress: "zstd", omitPeers: false });
  const { client } = { client: new (session.client.constructor as new () => TestSession["client"])() };
  client.receive(message);
  assert.equal(client.peers.get(node(50))?.Name, "fresh.tail.example.com.");
  assert.equal(client.peers.size, 99);
});

// Deltas.

test("an endpoint change costs one encode and at most one compression, however many hear of it", () => {
  const world = worldOf(400);
  const cost = spent(world, () =>
    world.tailnet.change(node(5), { endpoints: ["203.0.113.7:41641", "10.0.0.5:41641"] }),
  );
  assert.deepEqual(
    [cost.encodes, cost.distinctDeltas, cost.deltas, cost.messages, cost.fullMaps, cost.selfUpdates],
    [1, 1, 399, 399, 0, 0],
  );
  assert.ok(cost.compressions <= 1);
  assert.ok(largest(world) <= 300, `${largest(world)} bytes`);
  assert.deepEqual(heard(world, 6), [
    { PeersChangedPatch: [{ NodeID: 5, Endpoints: ["203.0.113.7:41641", "10.0.0.5:41641"] }] },
  ]);
  assert.deepEqual(heard(world, 5), []);
  noFaults(world);
});

test("many endpoints at once are still one compression", () => {
  const world = worldOf(50);
  const endpoints = Array.from({ length: 12 }, (_, i) => `198.51.100.${i}:41641`);
  const cost = spent(world, () => world.tailnet.change(node(5), { endpoints }));
  assert.deepEqual([cost.encodes, cost.compressions], [1, 1]);
  assert.ok(largest(world) <= 300, `${largest(world)} bytes`);
});

test("coming online is one word, going offline says since when", () => {
  const world = worldOf(3);
  world.tailnet.change(node(2), { online: false, lastSeen: world.now });
  world.settle();
  assert.deepEqual(heard(world, 1), [
    { PeersChangedPatch: [{ NodeID: 2, Online: false, LastSeen: "2026-11-20T12:00:01Z" }] },
  ]);
  world.tailnet.change(node(2), { online: true, lastSeen: null });
  world.settle();
  assert.deepEqual(heard(world, 1), [{ OnlineChange: { "2": true } }]);
  assert.ok(largest(world) <= 300);
  noFaults(world);
});

test("what makes a client rebuild its netmap and what does not go in two messages, the dear one first", () => {
  const world = worldOf(4);
  world.tailnet.change(node(2), { endpoints: [] });
  world.tailnet.change(node(3), { nodeKey: `nodekey:${hexOf(99)}` as NodeKey });
  world.tailnet.change(node(4), { givenName: "renamed" });
  world.settle();
  const messages = heard(world, 1);
  assert.deepEqual(
    messages.map((message) => Object.keys(message)),
    [["PeersChanged", "PeersChangedPatch"], ["PeersChangedPatch"]],
  );
  assert.deepEqual(messages[1]?.PeersChangedPatch, [{ NodeID: 2, Endpoints: [] }]);
  noFaults(world);
});

test("a node that joins is told of once, complete and with its owner when that one is new", () => {
  const world = worldOf(300);
  const joining = sampleNode(301, { userId: 2 as UserId });
  const cost = spent(world, () => {
    world.tailnet.add({ ...joining, discoKey: null, endpoints: [], homeDerp: 0 });
    world.run(60);
    world.tailnet.change(node(301), { online: true, discoKey: joining.discoKey });
    world.open(node(301));
    world.run(60);
    world.tailnet.change(node(301), { endpoints: joining.endpoints, homeDerp: 900 });
  });
  assert.deepEqual([cost.distinctDeltas, cost.deltas, cost.fullMaps], [1, 300, 1]);
  const told = heard(world, 7);
  assert.deepEqual(
    told.map((message) => Object.keys(message)),
    [["PeersChanged"]],
  );
  const others = [...world.sessions.values()].filter((session) => session.node !== 301);
  assert.ok(Math.max(...others.map(({ client }) => client.bytes)) <= 450);
  noFaults(world);
});

test("a new node that says nothing more is told of after a moment all the same", () => {
  const world = worldOf(2);
  world.tailnet.add(sampleNode(3, { discoKey: null, endpoints: [], homeDerp: 0 }));
  world.run(100);
  assert.deepEqual(heard(world, 1), []);
  world.run(300);
  assert.equal(heard(world, 1)[0]?.PeersChanged?.[0]?.ID, 3);
  noFaults(world);
});

test("a new node does not hold back what else happens", () => {
  const world = worldOf(2);
  world.tailnet.add(sampleNode(3, { discoKey: null }));
  world.tailnet.change(node(2), { homeDerp: 901 });
  world.run(10);
  assert.deepEqual(heard(world, 1), [{ PeersChangedPatch: [{ NodeID: 2, DERPRegion: 901 }] }]);
});

test("changes that wait for the same round become one message", () => {
  const world = worldOf(20);
  const cost = spent(world, () => {
    for (let turn = 0; turn < 50; turn++) {
      world.tailnet.change(node(5), { endpoints: [`203.0.113.${turn}:41641`] });
    }
  });
  assert.deepEqual([cost.encodes, cost.deltas, cost.merges], [1, 19, 49]);
  noFaults(world);
});

test("what peers are not told of a machine costs nothing", () => {
  const world = worldOf(20);
  const cost = spent(world, () => {
    const { hostinfo } = world.tailnet.node(node(5)) ?? sampleNode(5);
    world.tailnet.change(node(5), { hostinfo: { ...hostinfo, OSVersion: "7.0", NetInfo: { PreferredDERP: 900 } } });
  });
  assert.deepEqual([cost.messages, cost.encodes], [0, 0]);
  noFaults(world);
});

test("the last peer can be removed", () => {
  const world = worldOf(2);
  world.tailnet.remove(node(2));
  world.settle();
  assert.deepEqual(heard(world, 1), [{ PeersRemoved: [2] }]);
  noFaults(world);
});

test("a thousand changes in one round are shared in parts even by those who are among them", () => {
  const world = worldOf(200);
  const cost = spent(world, () => {
    for (let id = 1; id <= 200; id++) {
      world.tailnet.change(node(id), { givenName: `renamed-${id}` });
    }
  });
  // 200 peers are 4 parts, for each of three views; each session needs one of its own, without itself.
  assert.ok(cost.compressions <= 3 * 4 + 200, `${cost.compressions} compressions`);
  assert.equal(cost.encodes, 200);
  noFaults(world);
});

test("routes and who is elected for them reach those who may use them", () => {
  const world = worldOf(4);
  const route = prefix("10.1.0.0/16");
  world.tailnet.change(node(2), { routes: [route], primaryRoutes: [route] });
  world.settle();
  assert.deepEqual(heard(world, 1)[0]?.PeersChanged?.[0]?.PrimaryRoutes, ["10.1.0.0/16"]);
  assert.deepEqual(
    heard(world, 2).map((message) => message.Node?.AllowedIPs),
    [["10.1.0.0/16", "100.64.0.2/32", "fd7a:115c:a1e0::2/128"]],
  );
  noFaults(world);
});

test("a route that nobody is elected for shows to nobody", () => {
  const world = worldOf(4);
  const cost = spent(world, () => world.tailnet.change(node(2), { routes: [prefix("10.1.0.0/16")] }));
  // The share of the route is new, so peers are told again; what they are told is the same.
  assert.ok(cost.distinctDeltas <= 1);
  noFaults(world);
});

// The policy.

test("a filter that changes is sent before the peers it is about, once for a class", () => {
  const world = worldOf(30);
  world.tailnet.setRules({ ...openRules, mark: "named" });
  world.settle();
  for (const session of world.sessions.values()) {
    session.client.log.length = 0;
  }
  world.tailnet.add(sampleNode(31, { online: true }));
  world.settle();
  const keys = heard(world, 4).map((message) => Object.keys(message));
  assert.deepEqual(keys, [["PacketFilters"], ["PeersChanged"]]);
  noFaults(world);
});

test("a policy that moves views tells each what came and what went, computed once for all who move alike", () => {
  const world = worldOf(90);
  const cost = spent(world, () =>
    world.tailnet.setRules({ ...openRules, sees: (viewer, peer) => viewer === peer }, true),
  );
  assert.equal(cost.fullMaps, 0);
  // Three classes of thirty: each loses the other sixty.
  assert.equal(cost.deltas, 90);
  assert.ok(cost.distinctDeltas <= 3, `${cost.distinctDeltas} different deltas`);
  assert.deepEqual(heard(world, 3)[0]?.PeersRemoved?.length, 60);
  noFaults(world);
  const back = spent(world, () => world.tailnet.setRules(openRules, true));
  assert.deepEqual([back.fullMaps, back.encodes], [0, 0]);
  noFaults(world);
});

test("a policy replaced by one that says the same costs no message", () => {
  const world = worldOf(30);
  const cost = spent(world, () => world.tailnet.setRules({ ...openRules }, true));
  assert.equal(cost.messages, 0);
});

test("attributes that a policy gives reach the node itself", () => {
  const world = worldOf(3);
  world.tailnet.setRules({ ...openRules, caps: (id) => (id === 2 ? { "magicdns-aaaa": null } : {}) });
  world.settle();
  assert.equal(heard(world, 1).length, 0);
  assert.deepEqual(heard(world, 2)[0]?.Node?.CapMap?.["magicdns-aaaa"], null);
  noFaults(world);
});

test("capabilities taken from a peer are taken at the client too", () => {
  const world = worldOf(2);
  const exits = [prefix("0.0.0.0/0"), prefix("::/0")];
  world.tailnet.change(node(2), { routes: exits });
  world.tailnet.setRules({ ...openRules, suggest: true });
  world.settle();
  assert.deepEqual(heard(world, 1).at(-1)?.PeersChanged?.[0]?.CapMap, { "suggest-exit-node": null });
  world.tailnet.setRules(openRules);
  world.settle();
  assert.deepEqual(heard(world, 1).at(-1)?.PeersChanged?.[0]?.CapMap, {});
  noFaults(world);
});

// A session's own node.

test("a change of its own record reaches the node, and its endpoints do not", () => {
  const world = worldOf(2);
  world.tailnet.change(node(1), { endpoints: ["203.0.113.1:1"] });
  world.settle();
  assert.deepEqual(heard(world, 1), []);
  world.tailnet.change(node(1), { givenName: "renamed" });
  world.settle();
  assert.equal(heard(world, 1)[0]?.Node?.Name, "renamed.tail.example.com.");
  noFaults(world);
});

test("a node whose owner changes is told who that is", () => {
  const world = worldOf(2);
  world.tailnet.change(node(1), { userId: null, tags: ["tag:web"] });
  world.settle();
  const own = heard(world, 1).find((message) => message.Node !== undefined);
  assert.deepEqual(own?.UserProfiles?.[0]?.LoginName, "tagged-devices");
  noFaults(world);
});

test("a user who is renamed is told to those who see a node of theirs", () => {
  const world = worldOf(6);
  world.tailnet.changeUser(2 as UserId, { displayName: "Ada" });
  world.settle();
  assert.deepEqual(heard(world, 3), [
    { UserProfiles: [{ ID: 2, LoginName: "user-2@example.com", DisplayName: "Ada" }] },
  ]);
  noFaults(world);
});

test("an expired node is told so and has no peers; when its key is valid again it has them all", () => {
  const world = worldOf(3);
  world.tailnet.change(node(1), { expiry: world.now - 1000 });
  world.settle();
  const messages = heard(world, 1);
  assert.deepEqual(messages.find((message) => message.Node !== undefined)?.Node?.KeyExpiry, "2026-11-20T12:00:00Z");
  assert.deepEqual(messages.at(-1)?.PeersRemoved, [2, 3]);
  assert.deepEqual(heard(world, 2), [{ PeersChangedPatch: [{ NodeID: 1, KeyExpiry: "2026-11-20T12:00:00Z" }] }]);
  world.tailnet.change(node(3), { givenName: "secret" });
  world.settle();
  assert.deepEqual(heard(world, 1), []);
  noFaults(world);
  world.tailnet.change(node(1), { expiry: null });
  world.settle();
  assert.equal(heard(world, 1)[0]?.Peers?.length, 2);
  noFaults(world);
});

test("a node that connects with an expired key gets a map without peers", () => {
  const world = worldOf(3, 0);
  world.tailnet.change(node(1), { expiry: world.now - 1000 });
  const session = world.open(node(1));
  world.settle();
  assert.equal(session.client.log[0]?.message.Peers, undefined);
  assert.deepEqual(session.client.filters.get("base"), []);
  noFaults(world);
});

test("a deleted node is told that its key expired, and then its stream ends", () => {
  const world = worldOf(3);
  const session = [...world.sessions.values()][0];
  assert.ok(session !== undefined);
  world.tailnet.remove(node(1));
  world.settle();
  const expiry = session.client.log.at(-1)?.message.Node?.KeyExpiry ?? "";
  assert.ok(expiry > "2020" && Date.parse(expiry) < world.now);
  assert.equal(session.ended, true);
  assert.equal(world.netmap.sessionCount, 2);
  noFaults(world);
});

test("a stream for a node that is gone ends at once", () => {
  const world = worldOf(2);
  assert.equal(world.open(node(77)).ended, true);
});

// DNS and relays.

test("new DNS settings and a new DERP map reach everybody, made once", () => {
  const world = worldOf(40);
  const dns = { ...world.settings.dns, search: ["new.example"] };
  const derpMap = { Regions: { "902": { ...world.settings.derpMap.Regions["900"], RegionID: 902 } } } as never;
  const cost = spent(world, () => {
    world.netmap.setDns(dns);
    world.netmap.setDerpMap(derpMap);
  });
  assert.deepEqual([cost.messages, cost.compressions], [40, 1]);
  world.settings = { ...world.settings, dns, derpMap };
  noFaults(world);
});

test("NextDNS follows the hostname of the device", () => {
  const world = worldOf(2, 0);
  const dns = { ...world.settings.dns, nameservers: ["https://dns.nextdns.io/abc"] };
  world.settings = { ...world.settings, dns };
  world.netmap.setDns(dns);
  world.open(node(1));
  world.open(node(2));
  world.settle();
  noFaults(world);
  const before = world.netmap.counters.selfUpdates;
  world.tailnet.change(node(1), { hostinfo: { OS: "linux", Hostname: "elsewhere" } });
  world.settle();
  // The DNS settings, and the record that carries the hostname.
  assert.equal(world.netmap.counters.selfUpdates - before, 2);
  noFaults(world);
});

test("a client too old for the pinned relay is told so, until the relay has another certificate", () => {
  const world = worldOf(2, 0);
  const relay = { Name: "900a", RegionID: 900, HostName: "relay" };
  const mapOf = (more: object): DERPMap => ({
    Regions: { 900: { RegionID: 900, RegionCode: "own", RegionName: "Own", Nodes: [{ ...relay, ...more }] } },
  });
  world.netmap.setDerpMap(mapOf({ CertName: `sha256-raw:${"0".repeat(64)}` }));
  const old = world.open(node(1), { capVersion: 113 });
  const young = world.open(node(2), { capVersion: 142 });
  world.settle();
  const healthOf = (session: typeof old): readonly (readonly string[])[] =>
    session.client.log.flatMap(({ message }) => (message.Health === undefined ? [] : [message.Health]));
  assert.match(healthOf(old)[0]?.[0] ?? "", /older than 1\.82/);
  world.netmap.setDerpMap(mapOf({}));
  world.settle();
  assert.deepEqual(healthOf(old).at(-1), []);
  assert.deepEqual(healthOf(young), []);
});

// Slow readers.

test("nothing is sent to a session whose socket is full, and one catch-up when it has drained", () => {
  const world = worldOf(10);
  const session = [...world.sessions.values()][0];
  assert.ok(session !== undefined);
  world.block(session);
  for (let turn = 0; turn < 30; turn++) {
    world.tailnet.change(node(2 + (turn % 5)), { endpoints: [`203.0.113.${turn}:1`] });
    world.settle();
  }
  world.tailnet.remove(node(9));
  world.tailnet.change(node(1), { givenName: "renamed" });
  world.settle();
  assert.deepEqual(session.client.log, []);
  world.drain(session);
  assert.deepEqual(
    session.client.log.map(({ message }) => Object.keys(message)),
    [["Node", "UserProfiles"], ["PeersRemoved"], ["PeersChangedPatch"]],
  );
  noFaults(world);
});

test("a peer that was renamed to and fro and went offline meanwhile is known to be offline, and since when", () => {
  const world = worldOf(2);
  const session = [...world.sessions.values()][0];
  assert.ok(session !== undefined);
  world.block(session);
  world.tailnet.change(node(2), { givenName: "elsewhere" });
  world.settle();
  world.tailnet.change(node(2), { givenName: "host-2", online: false, lastSeen: world.now });
  world.settle();
  world.drain(session);
  assert.notEqual(session.client.peers.get(node(2))?.LastSeen, undefined);
  noFaults(world);
});

test("sessions that drain at the same step share their catch-up", () => {
  const world = worldOf(40);
  const slow = [...world.sessions.values()].slice(0, 20);
  for (const session of slow) {
    world.block(session);
  }
  world.tailnet.change(node(30), { endpoints: Array.from({ length: 9 }, (_, i) => `203.0.113.30:${i + 1}`) });
  world.settle();
  const cost = spent(world, () => {
    for (const session of slow) {
      world.drain(session);
    }
  });
  assert.deepEqual([cost.catchUps, cost.encodes, cost.compressions], [20, 0, 0]);
  noFaults(world);
});

test("a session behind the horizon starts over with a full map", () => {
  const tailnet = new TestTailnet();
  for (let id = 1; id <= 5; id++) {
    tailnet.add(sampleNode(id, { online: true }));
  }
  const world = new World(tailnet, { horizon: 10 });
  const session = world.open(node(1));
  world.block(session);
  for (let turn = 0; turn < 30; turn++) {
    tailnet.change(node(2), { endpoints: [`203.0.113.${turn}:1`] });
    world.settle();
  }
  tailnet.remove(node(4));
  world.settle();
  world.drain(session);
  assert.equal(world.netmap.counters.restarts, 1);
  assert.equal(session.client.log.at(-1)?.message.Peers?.length, 3);
  noFaults(world);
});

test("behind the horizon with nobody left to see, only a new stream can clear the peers", () => {
  const tailnet = new TestTailnet();
  tailnet.add(sampleNode(1, { online: true }));
  tailnet.add(sampleNode(2, { online: true }));
  const world = new World(tailnet, { horizon: 3 });
  const session = world.open(node(1));
  world.block(session);
  tailnet.remove(node(2));
  world.settle();
  for (let turn = 0; turn < 10; turn++) {
    tailnet.change(node(1), { homeDerp: 900 + turn });
    world.settle();
  }
  world.drain(session);
  assert.equal(session.ended, true);
});

test("views that no session has are let go, and come back whole", () => {
  const world = worldOf(10, 3);
  for (const session of world.sessions.values()) {
    world.close(session);
  }
  world.tailnet.change(node(4), { givenName: "renamed" });
  world.settle();
  world.open(node(2));
  world.settle();
  noFaults(world);
});

// Signs of life.

test("a silent session gets a keep-alive 50 to 60 seconds after its last message, never the bare one", () => {
  const world = worldOf(50);
  const times = new Map<number, number[]>();
  for (let second = 0; second < 180; second++) {
    world.run(1000);
    world.netmap.tick();
    for (const session of world.sessions.values()) {
      for (const { message } of session.client.log.splice(0)) {
        assert.deepEqual(Object.keys(message), ["KeepAlive", "ControlTime"]);
        times.set(session.id, [...(times.get(session.id) ?? []), second]);
      }
    }
  }
  assert.equal(times.size, 50);
  for (const seconds of times.values()) {
    const gaps = seconds.slice(1).map((second, i) => second - (seconds[i] ?? 0));
    assert.ok(gaps.length >= 1 && gaps.every((gap) => gap >= 50 && gap <= 61), gaps.join());
  }
  const together = new Map<number, number>();
  for (const first of [...times.values()].map((seconds) => seconds[1] ?? 0)) {
    together.set(first, (together.get(first) ?? 0) + 1);
  }
  assert.ok(Math.max(...together.values()) < 25, "they do not all fall together");
});

test("whoever is sent something else needs no keep-alive", () => {
  const world = worldOf(2);
  for (let second = 0; second < 120; second++) {
    world.run(1000);
    if (second % 20 === 0) {
      world.tailnet.change(node(2), { endpoints: [`203.0.113.1:${second + 1}`] });
    }
    world.netmap.tick();
  }
  assert.ok(heard(world, 1).every((message) => message.KeepAlive === undefined));
  assert.ok(heard(world, 2).some((message) => message.KeepAlive === true));
});

test("a ping goes out at once on a keep-alive of its own, or when a full socket has drained", () => {
  const world = worldOf(2);
  world.netmap.ping(node(1), { URL: "https://unused/machine/c2n/1", URLIsNoise: true, Types: "c2n", Payload: "R0VU" });
  assert.deepEqual(heard(world, 1), [
    {
      KeepAlive: true,
      ControlTime: "2026-11-20T12:00:01Z",
      PingRequest: { URL: "https://unused/machine/c2n/1", URLIsNoise: true, Types: "c2n", Payload: "R0VU" },
    },
  ]);
  const session = [...world.sessions.values()][1];
  assert.ok(session !== undefined);
  world.block(session);
  for (let turn = 0; turn < 9; turn++) {
    world.netmap.ping(node(2), { URL: `https://unused/${turn}` });
  }
  assert.deepEqual(heard(world, 2), []);
  world.drain(session);
  assert.deepEqual(
    heard(world, 2).map((message) => message.PingRequest?.URL.slice(-1)),
    ["5", "6", "7", "8"],
  );
});

// Large tailnets.

test("a round is cut into slices, so that the loop is not held up", () => {
  const world = worldOf(1000);
  const before = world.netmap.counters.messages;
  world.tailnet.change(node(5), { homeDerp: 901 });
  const slices: number[] = [];
  for (let last = before; world.turn(); last = world.netmap.counters.messages) {
    slices.push(world.netmap.counters.messages - last);
  }
  assert.equal(world.netmap.counters.messages - before, 999);
  assert.ok(Math.max(...slices) <= 300, slices.join());
  noFaults(world);
});

test("a node that changes its class while a round is under way goes the rest of the way in the next", () => {
  const tailnet = new TestTailnet();
  for (let id = 1; id <= 6; id++) {
    tailnet.add(sampleNode(id, { online: true, userId: 1 as UserId }));
  }
  tailnet.setRules({ ...openRules, sees: (viewer, peer) => viewer === peer });
  const world = new World(tailnet, { slice: 1 });
  for (let id = 1; id <= 6; id++) {
    world.open(node(id));
  }
  world.settle();
  tailnet.change(node(6), { givenName: "renamed" });
  world.turn();
  tailnet.change(node(5), { userId: null, tags: ["tag:alone"] });
  world.settle();
  noFaults(world);
});

test("a socket that breaks while its session is told of itself leaves no view behind", () => {
  const world = worldOf(3);
  for (const session of world.sessions.values()) {
    world.breaking.add(session.id);
    world.tailnet.change(session.node, { givenName: `renamed-${session.node}` });
  }
  world.settle();
  assert.deepEqual([world.netmap.sessionCount, world.netmap.viewCount], [0, 0]);
});

test("nodes that reconnect together cost each other few messages and no full maps but their own", () => {
  const count = 300;
  const world = worldOf(count, 0);
  for (let id = 1; id <= count; id++) {
    world.tailnet.change(node(id), { online: false, lastSeen: world.now });
  }
  world.settle();
  const cost = spent(world, () => {
    for (let id = 1; id <= count; id++) {
      const patch: Partial<Node> = { online: true, lastSeen: null };
      world.tailnet.change(node(id), { ...patch, endpoints: [`203.0.113.${id % 250}:${id}`] });
      world.open(node(id), { deaf: id % 10 !== 0 });
      world.run(6);
    }
  });
  assert.equal(cost.fullMaps, count);
  // Each hears of the others' return merged into rounds: 60 messages a session would be the mark for a thousand.
  assert.ok(cost.messages <= count * 60, `${cost.messages} messages`);
  assert.ok(cost.encodes <= count * 3, `${cost.encodes} encodes`);
  noFaults(world);
});
