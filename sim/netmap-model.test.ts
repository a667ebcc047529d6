import assert from "node:assert/strict";
import { test } from "node:test";
import type { MapNode, MapResponse } from "../src/wire/tailcfg.ts";
import { isFullRebuild, NetmapModel, seenNow } from "./netmap-model.ts";

/** Nodes as they come from JSON. */
function node(id: number, fields: Readonly<Record<string, unknown>> = {}): MapNode {
  return {
    ID: id,
    StableID: `n${id}CNTRL`,
    Name: `node${id}.example.net.`,
    User: 1,
    Key: `nodekey:${id}`,
    Addresses: [`100.64.0.${id}/32`],
    AllowedIPs: [`100.64.0.${id}/32`],
    Online: true,
    ...fields,
  } as unknown as MapNode;
}

function message(fields: Readonly<Record<string, unknown>>): MapResponse {
  return fields;
}

function started(...peers: readonly MapNode[]): NetmapModel {
  const model = new NetmapModel();
  model.apply(message({ Node: node(1), Peers: peers, Domain: "example" }));
  return model;
}

test("the first message must have the node itself", () => {
  assert.throws(() => new NetmapModel().apply(message({ Peers: [node(2)] })), /initial MapResponse lacked node/);
});

test("a list of peers replaces all, an empty one changes nothing, and what comes beside it is not applied", () => {
  const model = started(node(2), node(3));
  model.apply(message({ Peers: [] }));
  assert.deepEqual([...model.peers.keys()], [2, 3]);
  model.apply(message({ Peers: [node(4)], PeersRemoved: [4], PeersChanged: [node(5)] }));
  assert.deepEqual([...model.peers.keys()], [4]);
});

test("peers come, change and go", () => {
  const model = started(node(2));
  model.apply(message({ PeersChanged: [node(3), node(2, { Name: "other.example.net." })] }));
  assert.equal(model.peers.get(2)?.Name, "other.example.net.");
  model.apply(message({ PeersRemoved: [3, 99] }));
  assert.deepEqual([...model.peers.keys()], [2]);
});

test("patches replace what they hold and nothing else; unknown nodes are passed over", () => {
  const model = started(node(2, { Endpoints: ["192.0.2.1:1"], HomeDERP: 1, Cap: 113 }));
  model.apply(
    message({
      PeersChangedPatch: [
        { NodeID: 2, DERPRegion: 900, Endpoints: [], LastSeen: "2026-01-01T00:00:00Z", Online: false },
        { NodeID: 77, Online: true },
      ],
    }),
  );
  const peer = model.peers.get(2);
  assert.equal(peer?.HomeDERP, 900);
  assert.deepEqual(peer.Endpoints, []);
  assert.equal(peer.Online, false);
  assert.equal(peer.Cap, 113);
  assert.equal(model.peers.size, 1);
});

test("an upsert that only clears patchable fields is lost, as clients lose it", () => {
  const full = {
    Endpoints: ["192.0.2.1:1"],
    HomeDERP: 7,
    Cap: 113,
    KeySignature: "c2ln",
    LastSeen: "2026-01-01T00:00:00Z",
  };
  const model = started(node(2, full));
  model.apply(message({ PeersChanged: [node(2, { Online: undefined })] }));
  const peer = model.peers.get(2);
  assert.deepEqual(peer?.Endpoints, full.Endpoints);
  assert.equal(peer.HomeDERP, 7);
  assert.equal(peer.Cap, 113);
  assert.equal(peer.KeySignature, "c2ln");
  assert.equal(peer.LastSeen, full.LastSeen);
  assert.equal(peer.Online, true);
  model.apply(message({ PeersChanged: [node(2, { Endpoints: [] })] }));
  assert.deepEqual(model.peers.get(2)?.Endpoints, []);
});

test("an upsert that changes anything else replaces the peer whole", () => {
  const model = started(node(2, { Endpoints: ["192.0.2.1:1"], HomeDERP: 7 }));
  model.apply(message({ PeersChanged: [node(2, { Tags: ["tag:x"] })] }));
  const peer = model.peers.get(2);
  assert.equal(peer?.Endpoints, undefined);
  assert.equal(peer?.HomeDERP, undefined);
});

test("a peer removed and changed in one message is lost, as clients lose it", () => {
  const model = started(node(2));
  model.apply(message({ PeersRemoved: [2], PeersChanged: [node(2, { Key: "nodekey:new" })] }));
  assert.equal(model.peers.has(2), false);
});

test("presence: online is set, seen is the client's own clock, unseen is none", () => {
  const model = started(node(2, { Online: true }));
  model.apply(message({ OnlineChange: { "2": false }, PeerSeenChange: { "2": true } }));
  assert.equal(model.peers.get(2)?.Online, false);
  assert.equal(model.peers.get(2)?.LastSeen, seenNow);
  model.apply(message({ PeerSeenChange: { "2": false }, OnlineChange: { "2": true } }));
  assert.equal(model.peers.get(2)?.Online, true);
  assert.equal(model.peers.get(2)?.LastSeen, undefined);
});

test("old forms of nodes become new ones", () => {
  const model = started(node(2, { DERP: "127.3.3.40:12", AllowedIPs: null, Capabilities: ["a"], CapMap: { b: null } }));
  const peer = model.peers.get(2);
  assert.equal(peer?.HomeDERP, 12);
  assert.deepEqual(peer.AllowedIPs, ["100.64.0.2/32"]);
  assert.deepEqual(peer.CapMap, { a: null, b: null });
});

test("filters: base is replaced, names come and go, a star clears, and nil changes nothing", () => {
  const model = started();
  const rule = (ip: string) => ({ SrcIPs: [ip] });
  model.apply(message({ PacketFilter: [rule("a")] }));
  model.apply(message({ PacketFilters: { zz: [rule("z")], aa: [rule("0")] } }));
  assert.deepEqual(
    model.packetFilter().map(({ SrcIPs }) => SrcIPs[0]),
    ["0", "a", "z"],
  );
  model.apply(message({ PacketFilters: { aa: null } }));
  assert.deepEqual([...model.filters.keys()].sort(), ["base", "zz"]);
  model.apply(message({ PacketFilters: { "*": null, only: [rule("o")] } }));
  assert.deepEqual([...model.filters.keys()], ["only"]);
  model.apply(message({ PacketFilter: [] }));
  assert.deepEqual(model.filters.get("base"), []);
});

test("what is absent stays as it was; users only gather", () => {
  const model = started();
  model.apply(
    message({
      DNSConfig: { Proxied: true },
      SSHPolicy: { rules: [] },
      UserProfiles: [{ ID: 1 }],
      DERPMap: { Regions: { "1": { RegionID: 1 } } },
    }),
  );
  model.apply(message({ UserProfiles: [{ ID: 2 }], DERPMap: { Regions: { "2": { RegionID: 2 }, "3": null } } }));
  assert.deepEqual(model.dns, { Proxied: true });
  assert.deepEqual(model.sshPolicy, { rules: [] });
  assert.deepEqual([...model.users.keys()], [1, 2]);
  assert.deepEqual(Object.keys(model.derpMap?.Regions ?? {}), ["2"]);
  assert.equal(model.domain, "example");
});

test("one patch of one peer is worked out once, for any number of clients", () => {
  const shared = node(2);
  const [a, b] = [started(shared), started(shared)];
  const delta = message({ PeersChangedPatch: [{ NodeID: 2, DERPRegion: 5 }], OnlineChange: { "2": false } });
  a.apply(delta);
  b.apply(delta);
  assert.equal(a.peers.get(2)?.HomeDERP, 5);
  assert.equal(a.peers.get(2), b.peers.get(2));
});

test("the cost of a message to a client is known", () => {
  assert.equal(isFullRebuild(message({ PeersChangedPatch: [{ NodeID: 2, DERPRegion: 5 }] })), false);
  assert.equal(isFullRebuild(message({ OnlineChange: { "2": true } })), false);
  assert.equal(isFullRebuild(message({ PeersChanged: [node(3)], PacketFilters: {} })), false);
  assert.equal(isFullRebuild(message({ PeersChangedPatch: [{ NodeID: 2, Key: "nodekey:1" }] })), true);
  assert.equal(isFullRebuild(message({ Node: node(1) })), true);
});
