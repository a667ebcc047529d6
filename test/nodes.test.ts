// Simulated nodes against a whole server: what they are told when they come, change, move and go.
import assert from "node:assert/strict";
import { test } from "node:test";
import { rawKey, machineKeyText } from "../src/wire/keys.ts";
import type { RegisterResponse } from "../src/wire/tailcfg.ts";
import { controlWorld } from "./control-world.ts";
import { until } from "./patience.ts";

test("a node registers with a key and gets its own netmap", async (context) => {
  const world = await controlWorld(context);
  const sim = world.client({ hostname: "first" });
  const response = await sim.join({ authKey: await world.authKey() });
  assert.equal(response.MachineAuthorized, true);
  assert.equal(response.Login.LoginName, "alice");
  const netmap = await sim.openMap();
  assert.equal(netmap.self?.Name, "first.sim.internal.");
  assert.equal(netmap.self.Key, sim.nodeKeyText);
  assert.equal(netmap.self.MachineAuthorized, true);
  assert.deepEqual(
    netmap.self.Addresses.map((prefix) => prefix.split("/")[1]),
    ["32", "128"],
  );
  assert.equal(netmap.peers.size, 0);
  assert.ok(netmap.derpMap !== undefined && netmap.controlTime !== "");
});

test("two nodes see each other, the first by a delta", async (context) => {
  const world = await controlWorld(context);
  const first = await world.join();
  const second = await world.join();
  const id = second.netmap.self?.ID ?? 0;
  await until("the first sees the second online", () => first.netmap.peers.get(id)?.Online === true);
  assert.equal(first.netmap.peers.get(id)?.Key, second.nodeKeyText);
  const [other] = second.netmap.peers.values();
  assert.equal(other?.Key, first.nodeKeyText);
  assert.ok(first.netmap.applied >= 2);
});

test("a lite update's endpoints and home region reach the other node", async (context) => {
  const world = await controlWorld(context);
  const [first, second] = [await world.join(), await world.join()];
  await second.update({ endpoints: ["192.0.2.7:41641", "[2001:db8::7]:41641"], netInfo: { PreferredDERP: 999 } });
  const id = second.netmap.self?.ID ?? 0;
  await until("the endpoints arrive", () => first.netmap.peers.get(id)?.Endpoints?.length === 2);
  assert.deepEqual(first.netmap.peers.get(id)?.Endpoints, ["192.0.2.7:41641", "[2001:db8::7]:41641"]);
  await until("the home region arrives", () => first.netmap.peers.get(id)?.HomeDERP === 999);
  await until("the disco key arrives", () => first.netmap.peers.get(id)?.DiscoKey === second.discoKeyText);
});

test("a rotated node key replaces the old one in place, for its peers too", async (context) => {
  const world = await controlWorld(context);
  const [first, second] = [await world.join(), await world.join()];
  const before = second.netmap.self;
  second.rotateNodeKey();
  await second.join({ authKey: await world.authKey() });
  const after = (await second.openMap()).self;
  assert.equal(after?.ID, before?.ID);
  assert.deepEqual(after?.Addresses, before?.Addresses);
  assert.equal(after?.Key, second.nodeKeyText);
  await until("the new key arrives", () => first.netmap.peers.get(after?.ID ?? 0)?.Key === second.nodeKeyText);
  assert.equal(first.netmap.peers.size, 1);
});

test("a node that knows its key comes back without using the auth key", async (context) => {
  const world = await controlWorld(context);
  const authKey = await world.authKey();
  const sim = world.client();
  await sim.join({ authKey });
  const again = await sim.register({ authKey });
  assert.equal(again.Error, "");
  assert.equal(again.AuthURL, "");
  const stranger = world.client();
  assert.notEqual((await stranger.register({ authKey })).Error, "");
});

test("a logout expires the key, tells the peers, and does not log in again with the stored key", async (context) => {
  const world = await controlWorld(context);
  const [first, second] = [await world.join(), await world.join()];
  const id = second.netmap.self?.ID ?? 0;
  await second.logout(await world.authKey({ reusable: true }));
  await until("the peer has expired or gone", () => {
    const peer = first.netmap.peers.get(id);
    return peer === undefined || peer.Expired === true || Date.parse(peer.KeyExpiry ?? "") <= Date.now() + 1000;
  });
  const netmap = await second.openMap().catch(() => undefined);
  if (netmap !== undefined) {
    assert.ok(Date.parse(netmap.self?.KeyExpiry ?? "") <= Date.now());
    assert.equal(netmap.peers.size, 0);
  }
});

test("a deleted node is told to log in, and leaves its peers", async (context) => {
  const world = await controlWorld(context);
  const [first, second] = [await world.join(), await world.join()];
  const { self } = second.netmap;
  assert.ok(self !== undefined);
  const deleted = await world.server.tailnet.deleteNode(world.actor, self.ID);
  assert.ok(deleted.ok);
  await until("the peer has gone", () => first.netmap.peers.size === 0);
  await until("the node itself is expired", () => Date.parse(second.netmap.self?.KeyExpiry ?? "") < Date.now());
});

test("of a thousand that come at once with a key for one, one gets in", async (context) => {
  const world = await controlWorld(context);
  const authKey = await world.authKey({ reusable: false });
  // From ten addresses, so that the limit on refused keys per source leaves the question to the key.
  const answers = await Promise.all(
    Array.from({ length: 1000 }, async (_, index) => {
      const sim = world.client({ localAddress: `127.0.1.${1 + (index % 10)}` });
      const { status, body } = await sim.request("POST", "/machine/register", sim.registerBody({ authKey }));
      assert.equal(status, 200, body.toString());
      return JSON.parse(body.toString()) as RegisterResponse;
    }),
  );
  const admitted = answers.filter(({ Error, AuthURL }) => Error === "" && AuthURL === "");
  assert.equal(admitted.length, 1);
  assert.equal(answers.filter(({ Error }) => Error !== "").length, 999);
  assert.equal(world.server.tailnet.nodes().length, 1);
});

const machineRoutes: readonly (readonly [method: string, path: string])[] = [
  ["POST", "/machine/map"],
  ["POST", "/machine/set-dns"],
  ["POST", "/machine/id-token"],
  ["POST", "/machine/feature/query"],
  ["POST", "/machine/update-health"],
  ["PATCH", "/machine/set-device-attr"],
  ["POST", "/machine/audit-log"],
  ["GET", "/machine/tka/init/begin"],
  ["GET", "/machine/tka/init/finish"],
  ["GET", "/machine/tka/bootstrap"],
  ["GET", "/machine/tka/sync/offer"],
  ["GET", "/machine/tka/sync/send"],
  ["GET", "/machine/tka/disable"],
  ["GET", "/machine/tka/sign"],
  ["POST", "/machine/webclient/init/1/to/2"],
  ["GET", "/machine/ssh/action/1/to/2?local_user=root"],
];

test("another machine can do nothing with a node's key, on any route", async (context) => {
  const world = await controlWorld(context);
  const owner = await world.join();
  const before = JSON.stringify(world.server.tailnet.nodes());
  const thief = world.client();
  for (const [method, path] of machineRoutes) {
    const { status, body } = await thief.request(method, path, {
      ...thief.mapBody({ OmitPeers: true, Endpoints: ["203.0.113.66:1"], Hostinfo: { Hostname: "stolen" } }),
      NodeKey: owner.nodeKeyText,
      CapVersion: 142,
      Feature: "funnel",
      Name: "_acme-challenge.x",
      Type: "TXT",
      Value: "v",
      Update: { "custom:x": 1 },
      Action: "DISCONNECT_NODE",
    });
    // update-health changes nothing and may be answered to anybody.
    assert.ok(status >= 400 || path === "/machine/update-health", `${method} ${path}: ${status} ${body.toString()}`);
    assert.ok(!body.toString().includes(owner.hostname), `${path} tells of the node`);
  }
  const stream = { ...thief.mapBody({ Stream: true }), NodeKey: owner.nodeKeyText };
  assert.ok((await thief.request("POST", "/machine/map", stream)).status >= 400);
  const registered = await thief.request("POST", "/machine/register", {
    ...thief.registerBody({ authKey: await world.authKey() }),
    NodeKey: owner.nodeKeyText,
  });
  const answer = JSON.parse(registered.body.toString()) as { Error: string };
  assert.ok(registered.status !== 200 || answer.Error !== "");
  const rotated = await thief.request("POST", "/machine/register", {
    ...thief.registerBody(),
    OldNodeKey: owner.nodeKeyText,
  });
  const rotation = JSON.parse(rotated.body.toString()) as { Error: string; AuthURL: string };
  assert.ok(rotation.Error !== "" || rotation.AuthURL !== "");
  await thief.request("POST", "/machine/register", {
    ...thief.registerBody({ expiry: "1970-01-01T00:02:03Z" }),
    NodeKey: owner.nodeKeyText,
  });
  assert.equal(JSON.stringify(world.server.tailnet.nodes()), before);
  assert.equal(machineKeyText(rawKey(owner.machineKeyText)), world.server.tailnet.nodes()[0]?.machineKey);
});

test("a node follows its map through a restart of the server", async (context) => {
  const world = await controlWorld(context);
  const [first, second] = [world.client(), world.client()];
  for (const sim of [first, second]) {
    await sim.join({ authKey: await world.authKey() });
    await sim.follow();
  }
  await until("they see each other", () => first.netmap.peers.size === 1 && second.netmap.peers.size === 1);
  const before = first.netmap;
  await world.restart();
  await until("the map is there again", () => first.netmap !== before && first.netmap.peers.size === 1);
  const peer = first.netmap.peers.get(second.netmap.self?.ID ?? 0);
  assert.equal(peer?.Key, second.nodeKeyText);
  await until("the peer is online again", () => first.netmap.peers.get(peer?.ID ?? 0)?.Online === true);
});

test("a browser's node comes over a WebSocket", async (context) => {
  const world = await controlWorld(context);
  const native = await world.join();
  const browser = await world.join({ webSocket: true, hostname: "browser" });
  assert.equal(browser.netmap.peers.size, 1);
  await until("the native node sees it", () => native.netmap.peers.size === 1);
});

test("an unknown node gets no map", async (context) => {
  const world = await controlWorld(context);
  await assert.rejects(world.client().openMap(), /initial fetch failed 4\d\d/);
});

test("a plain JSON stream is served to who asks for it", async (context) => {
  const world = await controlWorld(context);
  await world.join();
  const sim = world.client();
  await sim.join({ authKey: await world.authKey() });
  const netmap = await sim.openMap({ compress: "" });
  assert.equal(netmap.peers.size, 1);
});

test("over TLS it is the same", async (context) => {
  const world = await controlWorld(context, { tls: true });
  const [first, second] = [await world.join(), await world.join({ webSocket: true })];
  await second.update({ endpoints: ["192.0.2.7:41641"] });
  const id = second.netmap.self?.ID ?? 0;
  await until("the endpoint arrives", () => first.netmap.peers.get(id)?.Endpoints?.[0] === "192.0.2.7:41641");
});
