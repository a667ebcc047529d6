// The node-facing edge as a whole, as a client meets it: registration and its refusals, maps, calls back to nodes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { generatePrivateKey, nodeKeyText } from "../wire/keys.ts";
import type { RegisterResponse } from "../wire/tailcfg.ts";
import type { NoiseClient } from "./noise-client.test-data.ts";
import { actor, type ControlRig, mapBody, registerBody, serverUrl, startRig } from "./rig.test-data.ts";

async function register(client: NoiseClient, body: unknown): Promise<RegisterResponse> {
  const answer = await client.request("POST", "/machine/register", body);
  assert.equal(answer.status, 200, answer.body.toString());
  return JSON.parse(answer.body.toString()) as RegisterResponse;
}

/** A machine that has joined with a key. */
async function joined(rig: ControlRig, hostname = "laptop") {
  const machine = generatePrivateKey();
  const nodeKey = generatePrivateKey();
  const client = await rig.connect(machine);
  const AuthKey = await rig.authKey();
  const answer = await register(client, registerBody(nodeKey, { Auth: { AuthKey }, Hostinfo: { Hostname: hostname } }));
  assert.equal(answer.Error, "");
  const node = rig.tailnet.nodeByKey(nodeKeyText(nodeKey.publicRaw));
  assert.ok(node);
  return { machine, nodeKey, client, node, AuthKey };
}

test("an auth key lets a machine in, once, and the machine may come back with it", async (context) => {
  const rig = await startRig(context);
  const { client, nodeKey, AuthKey } = await joined(rig);
  const again = await register(client, registerBody(nodeKey, { Auth: { AuthKey } }));
  assert.deepEqual(
    { error: again.Error, url: again.AuthURL, ok: again.MachineAuthorized, login: again.Login.LoginName },
    { error: "", url: "", ok: true, login: "alice" },
  );
  const thief = await rig.connect();
  const refused = await register(thief, registerBody(generatePrivateKey(), { Auth: { AuthKey } }));
  assert.match(refused.Error, /already used/);
  assert.equal(rig.tailnet.nodes().length, 1);
});

test("a response has all of its fields, whatever it says", async (context) => {
  const rig = await startRig(context);
  const client = await rig.connect();
  for (const more of [{}, { Auth: { AuthKey: "hskey-auth-x" } }, { Version: 100 }]) {
    assert.deepEqual(Object.keys(await register(client, registerBody(generatePrivateKey(), more))).sort(), [
      "AuthURL",
      "Error",
      "Login",
      "MachineAuthorized",
      "NodeKeyExpired",
      "NodeKeySignature",
      "User",
    ]);
  }
});

test("without a key a person decides: a link, a wait, and the node belongs to whom the person named", async (context) => {
  const rig = await startRig(context);
  const client = await rig.connect();
  const nodeKey = generatePrivateKey();
  const first = await register(client, registerBody(nodeKey));
  assert.match(first.AuthURL, /^http:\/\/control\.test:8080\/register\/hskey-authreq-[A-Za-z0-9_-]{24}$/);
  const repeated = await register(client, registerBody(nodeKey));
  assert.equal(repeated.AuthURL, first.AuthURL, "the link in the user's hand stays good");

  const waiting = register(client, registerBody(nodeKey, { Followup: first.AuthURL }));
  await rig.settle(() => rig.counters.requests === 3);
  const id = first.AuthURL.split("/").at(-1) ?? "";
  const entry = rig.pending.get(id);
  assert.ok(entry?.kind === "register");
  const made = await rig.tailnet.register(actor, entry.registration, {
    kind: "approved",
    user: rig.user.id,
    method: "cli",
  });
  assert.ok(made.ok);
  rig.pending.settle(id, { kind: "approved", node: made.value });
  const answer = await waiting;
  assert.deepEqual([answer.Error, answer.AuthURL, answer.User.ID], ["", "", rig.user.id]);
});

test("a wait ends with the same link after two minutes, and with a text when the person says no", async (context) => {
  const rig = await startRig(context);
  const client = await rig.connect();
  const nodeKey = generatePrivateKey();
  const { AuthURL } = await register(client, registerBody(nodeKey));
  const body = registerBody(nodeKey, { Followup: AuthURL });
  const waiting = register(client, body);
  await rig.settle(() => rig.counters.requests === 2);
  rig.clock.advance(110_000);
  // Somewhere on the way the client's connection may look idle; a request under way keeps it.
  rig.clock.advance(10_000);
  assert.equal((await waiting).AuthURL, AuthURL);
  const again = register(client, body);
  await rig.settle(() => rig.counters.requests === 3);
  rig.pending.settle(AuthURL.split("/").at(-1) ?? "", { kind: "rejected" });
  assert.match((await again).Error, /rejected/);
  assert.match((await register(client, body)).Error, /rejected/, "repeating it changes nothing");
});

test("who learned the link of another machine gets a link of its own and nothing else", async (context) => {
  const rig = await startRig(context);
  const victim = await rig.connect();
  const nodeKey = generatePrivateKey();
  const { AuthURL } = await register(victim, registerBody(nodeKey));
  const entry = rig.pending.get(AuthURL.split("/").at(-1) ?? "");
  assert.ok(entry?.kind === "register");
  const made = await rig.tailnet.register(actor, entry.registration, {
    kind: "approved",
    user: rig.user.id,
    method: "cli",
  });
  assert.ok(made.ok);
  rig.pending.settle(entry.id, { kind: "approved", node: made.value });

  const thief = await rig.connect();
  const withOwnKey = await register(thief, registerBody(generatePrivateKey(), { Followup: AuthURL }));
  assert.notEqual(withOwnKey.AuthURL, "");
  assert.notEqual(withOwnKey.AuthURL, AuthURL);
  assert.equal(withOwnKey.User.ID, 0);
  const withVictimsKey = await register(thief, registerBody(nodeKey, { Followup: AuthURL }));
  assert.match(withVictimsKey.Error, /another machine/);
  assert.equal(withVictimsKey.Login.LoginName, "");
});

/** Bytes held, on the heap and beside it, when all that can be collected has been. */
function held(): number {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  assert.ok(typeof collect === "function");
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test("those who wait for a person hold next to nothing, whatever they sent", async (context) => {
  const rig = await startRig(context);
  const machine = generatePrivateKey();
  const opener = await rig.connect(machine);
  const waiter = await rig.connect(machine);
  const waits: Promise<unknown>[] = [];
  const before = held();
  for (let login = 0; login < 4; login++) {
    const nodeKey = generatePrivateKey();
    const { AuthURL } = await register(opener, registerBody(nodeKey));
    // Some sixty kilobytes that are more than a megabyte once they are read, in a megabyte that is white space.
    const Hostinfo = { Hostname: "heavy", X: Array.from({ length: 20_000 }, () => ({})) };
    const body = Buffer.from(JSON.stringify(registerBody(nodeKey, { Followup: AuthURL, Hostinfo })).padEnd(1_000_000));
    for (let count = 0; count < 4; count++) {
      const known = rig.counters.requests;
      waits.push(waiter.request("POST", "/machine/register", body).catch(() => undefined));
      await rig.settle(() => rig.counters.requests > known);
    }
  }
  const more = held() - before;
  // Four of these megabytes are the client's own, which shares them among four requests each.
  assert.ok(more < 10_000_000, `sixteen waits hold ${Math.round(more / 1000)} kB`);
  waiter.close();
  await Promise.all(waits);
});

test("a login that is lost while somebody waits for it is replaced when the client asks again", async (context) => {
  const rig = await startRig(context);
  const machine = generatePrivateKey();
  const nodeKey = generatePrivateKey();
  const { AuthURL } = await register(await rig.connect(machine), registerBody(nodeKey));
  rig.clock.advance(14 * 60_000 + 50_000);
  const client = await rig.connect(machine);
  const body = registerBody(nodeKey, { Followup: AuthURL });
  const waiting = register(client, body);
  await rig.settle(() => rig.counters.requests === 2);
  rig.clock.advance(20_000);
  assert.deepEqual(rig.pending.list(), []);
  assert.equal((await waiting).AuthURL, AuthURL);
  const fresh = await register(client, body);
  assert.notEqual(fresh.AuthURL, AuthURL);
  assert.ok(rig.pending.get(fresh.AuthURL.split("/").at(-1) ?? ""));
});

test("a follow-up that the client gives up is let go at once", async (context) => {
  const rig = await startRig(context);
  const client = await rig.connect();
  const nodeKey = generatePrivateKey();
  const { AuthURL } = await register(client, registerBody(nodeKey));
  const timers = rig.clock.timers;
  const leaving = new AbortController();
  const waiting = client.request(
    "POST",
    "/machine/register",
    registerBody(nodeKey, { Followup: AuthURL }),
    leaving.signal,
  );
  await rig.settle(() => rig.clock.timers === timers + 1);
  leaving.abort();
  await assert.rejects(waiting);
  await rig.settle(() => rig.clock.timers === timers);
});

test("a node key of another machine is refused on every way in, and stays what it was", async (context) => {
  const rig = await startRig(context);
  const { nodeKey, node } = await joined(rig);
  const thief = await rig.connect();
  const AuthKey = await rig.authKey({ reusable: true });
  const key = nodeKeyText(nodeKey.publicRaw);
  for (const body of [
    registerBody(nodeKey),
    registerBody(nodeKey, { Auth: { AuthKey } }),
    registerBody(nodeKey, { Expiry: "1970-01-01T00:02:03Z" }),
    registerBody(nodeKey, { Expiry: "2100-01-01T00:00:00Z" }),
    registerBody(nodeKey, { Followup: `${serverUrl}/register/hskey-authreq-${"a".repeat(24)}` }),
    registerBody(generatePrivateKey(), { OldNodeKey: key }),
    registerBody(generatePrivateKey(), { OldNodeKey: key, Auth: { AuthKey } }),
  ]) {
    const answer = await register(thief, body);
    assert.match(answer.Error, /another machine/);
    assert.deepEqual([answer.User.ID, answer.Login.LoginName, answer.AuthURL], [0, "", ""]);
  }
  assert.equal(rig.tailnet.node(node.id), node);
  assert.equal(rig.tailnet.nodes().length, 1);
});

test("logout ends the key now, with an auth key in the request and however often it is repeated", async (context) => {
  const rig = await startRig(context);
  const { client, nodeKey, node, AuthKey } = await joined(rig);
  const body = registerBody(nodeKey, { Expiry: "1970-01-01T02:02:03+02:00", Auth: { AuthKey } });
  for (let round = 0; round < 2; round++) {
    assert.deepEqual([(await register(client, body)).Error, (await register(client, body)).AuthURL], ["", ""]);
  }
  assert.equal(rig.tailnet.node(node.id)?.expiry, rig.clock.now());
  const restart = await register(client, registerBody(nodeKey));
  assert.equal(restart.NodeKeyExpired, true, "the client makes a new key");
  const fresh = registerBody(generatePrivateKey(), { OldNodeKey: nodeKeyText(nodeKey.publicRaw) });
  assert.notEqual((await register(client, fresh)).AuthURL, "");
});

test("an ephemeral node that logs out is gone", async (context) => {
  const rig = await startRig(context);
  const client = await rig.connect();
  const nodeKey = generatePrivateKey();
  await register(client, registerBody(nodeKey, { Auth: { AuthKey: await rig.authKey({ ephemeral: true }) } }));
  assert.equal(rig.tailnet.nodes().length, 1);
  const answer = await register(client, registerBody(nodeKey, { Expiry: "1970-01-01T00:02:03Z" }));
  assert.equal(answer.NodeKeyExpired, true);
  assert.equal(rig.tailnet.nodes().length, 0);
});

test("a node may shorten its own expiry and not extend it", async (context) => {
  const rig = await startRig(context);
  const { client, nodeKey, node } = await joined(rig);
  const at = (ms: number): string => new Date(rig.clock.now() + ms).toISOString();
  assert.equal((await register(client, registerBody(nodeKey, { Expiry: at(100_000) }))).Error, "");
  const expiry = rig.tailnet.node(node.id)?.expiry;
  assert.equal(expiry, rig.clock.now() + 100_000);
  assert.match((await register(client, registerBody(nodeKey, { Expiry: at(900_000) }))).Error, /extending key/);
  assert.equal(rig.tailnet.node(node.id)?.expiry, expiry);
});

test("clients before 1.80 are told so in words that their users see", async (context) => {
  const rig = await startRig(context);
  const client = await rig.connect(generatePrivateKey(), 109);
  const answer = await register(client, registerBody(generatePrivateKey(), { Version: 109 }));
  assert.match(answer.Error, /unsupported client version: v1\.78 \(109\)/);
  const map = await client.request("POST", "/machine/map", mapBody(generatePrivateKey(), { Version: 109 }));
  assert.equal(map.status, 400);
  assert.equal((await register(client, registerBody(generatePrivateKey(), { Version: 60_000 }))).Error, "");
});

test("guessing auth keys is slowed down, in the way that the client's version understands", async (context) => {
  const rig = await startRig(context);
  const client = await rig.connect();
  const guess = (Version: number) =>
    client.request(
      "POST",
      "/machine/register",
      registerBody(generatePrivateKey(), { Version, Auth: { AuthKey: "hskey-auth-guess" } }),
    );
  for (let count = 0; count < 20; count++) {
    assert.equal((await guess(142)).status, 200);
  }
  const late = await guess(142);
  assert.equal(late.status, 429);
  assert.equal(late.headers.get("retry-after"), "3");
  assert.equal((await guess(130)).status, 503);
  const other = await rig.connect();
  assert.equal(
    (await other.request("POST", "/machine/register", registerBody(generatePrivateKey()))).status,
    200,
    "others are not slowed down",
  );
});

test("when too many join at once the rest are told when to come back, and then get in", async (context) => {
  let ready = Promise.resolve();
  const rig = await startRig(context, { mostJoining: 2, beforeCommit: () => ready });
  const authKey = await rig.authKey({ reusable: true });
  const join = async (version: number, nodeKey = generatePrivateKey(), machine = generatePrivateKey()) => {
    const client = await rig.connect(machine, version);
    const body = registerBody(nodeKey, { Version: version, Auth: { AuthKey: authKey } });
    return { again: () => client.request("POST", "/machine/register", body) };
  };
  const machines = await Promise.all([142, 142, 142, 130].map((version) => join(version)));
  const { promise: slow, resolve: stored } = Promise.withResolvers<void>();
  ready = slow;
  const [first, second, third, fourth] = machines;
  assert.ok(first !== undefined && second !== undefined && third !== undefined && fourth !== undefined);
  const requests = rig.counters.requests;
  const early = [first.again(), second.again()];
  await rig.settle(() => rig.counters.requests === requests + 2);
  const late = await third.again();
  assert.equal(late.status, 429);
  const seconds = Number(late.headers.get("retry-after"));
  assert.ok(seconds >= 3 && seconds <= 6, `come back after ${seconds} s`);
  assert.equal((await fourth.again()).status, 503, "a client that does not know 429");
  stored();
  assert.deepEqual(
    (await Promise.all(early)).map(({ status }) => status),
    [200, 200],
  );
  assert.deepEqual([(await third.again()).status, (await fourth.again()).status], [200, 200]);
  assert.equal(rig.tailnet.nodes().length, 4);
});

test("a flood of logins does not push out the one that a person is about to approve", async (context) => {
  const rig = await startRig(context);
  const client = await rig.connect();
  const { AuthURL } = await register(client, registerBody(generatePrivateKey()));
  const flood = await rig.connect();
  let opened = 0;
  for (let count = 0; count < 60; count++) {
    const answer = await flood.request("POST", "/machine/register", registerBody(generatePrivateKey()));
    opened += answer.status === 200 ? 1 : 0;
  }
  assert.equal(opened, 20, "one machine opens a few and is then held off");
  assert.ok(rig.pending.list().length <= 9);
  assert.ok(rig.pending.get(AuthURL.split("/").at(-1) ?? ""));
});

const routes: readonly (readonly [method: string, path: string])[] = [
  ["POST", "/machine/register"],
  ["POST", "/machine/map"],
  ["GET", "/machine/whoami"],
  ["POST", "/machine/set-dns"],
  ["PATCH", "/machine/set-device-attr"],
  ["POST", "/machine/audit-log"],
  ["POST", "/machine/id-token"],
  ["POST", "/machine/feature/query"],
  ["POST", "/machine/update-health"],
  ["POST", "/machine/c2n"],
  ["GET", "/machine/tka/bootstrap"],
  ["GET", "/machine/tka/sync/offer"],
  ["POST", "/machine/webclient/init/1/to/2"],
  ["GET", "/machine/ssh/action/1/to/1"],
  ["POST", "/machine/ping-response?id=guess"],
];

test("every path of /machine answers the owner, a stranger and an unknown node without giving anything away", async (context) => {
  const rig = await startRig(context);
  const { client, nodeKey, node } = await joined(rig);
  const stranger = await rig.connect();
  const before = JSON.stringify([rig.tailnet.version, rig.tailnet.node(node.id)]);
  const table: Record<string, (number | string)[]> = {};
  for (const [method, path] of routes) {
    const ask = async (who: NoiseClient, key: typeof nodeKey): Promise<number | string> => {
      const body = method === "GET" && !path.includes("/tka/") ? undefined : { ...mapBody(key), OmitPeers: true };
      const answer = await who.request(method, path, body);
      const text = answer.body.toString();
      assert.ok(
        (!text.includes("alice") && !text.includes("100.64.")) || who === client,
        `${path} tells a stranger: ${text}`,
      );
      return path === "/machine/register" ? (/"Error":"([^"]*)"/.exec(text)?.[1] ?? text) : answer.status;
    };
    if (path !== "/machine/map") {
      table[`${method} ${path}`] = [await ask(stranger, nodeKey), await ask(client, nodeKey)];
    } else {
      table[`${method} ${path}`] = [await ask(stranger, nodeKey), await ask(stranger, generatePrivateKey())];
    }
  }
  assert.deepEqual(table, {
    "POST /machine/register": ["node key already in use by another machine", ""],
    "POST /machine/map": [404, 404],
    "GET /machine/whoami": [501, 501],
    "POST /machine/set-dns": [501, 501],
    "PATCH /machine/set-device-attr": [501, 501],
    "POST /machine/audit-log": [501, 501],
    "POST /machine/id-token": [501, 501],
    "POST /machine/feature/query": [501, 501],
    "POST /machine/update-health": [204, 204],
    "POST /machine/c2n": [501, 501],
    "GET /machine/tka/bootstrap": [501, 501],
    "GET /machine/tka/sync/offer": [501, 501],
    "POST /machine/webclient/init/1/to/2": [501, 501],
    "GET /machine/ssh/action/1/to/1": [404, 200],
    "POST /machine/ping-response?id=guess": [404, 404],
  });
  assert.equal(JSON.stringify([rig.tailnet.version, rig.tailnet.node(node.id)]), before, "and changes nothing");
});

test("broken bodies get a status and a short text, and leave everything as it was", async (context) => {
  const rig = await startRig(context);
  const { client, nodeKey } = await joined(rig);
  const version = rig.tailnet.version;
  const good = JSON.stringify(mapBody(nodeKey));
  for (const path of ["/machine/register", "/machine/map"]) {
    for (const body of [
      "",
      "null",
      "[]",
      "{",
      good.slice(0, -1),
      `{"NodeKey":${"[".repeat(200)}${"]".repeat(200)}}`,
      '{"Version":142,"NodeKey":"nodekey:zz"}',
      '{"Version":142,"NodeKey":""}',
      '{"Version":"142"}',
      Buffer.from([0xff, 0xfe, 0x00]),
    ]) {
      const answer = await client.request("POST", path, body);
      assert.equal(answer.status, 400);
      assert.ok(answer.body.length > 0 && answer.body.length < 200);
    }
    assert.equal((await client.request("POST", path, Buffer.alloc(1024 * 1024 + 1))).status, 413);
    assert.equal((await client.request("GET", path)).status, 405);
  }
  assert.equal(rig.tailnet.version, version);
  assert.equal((await client.request("POST", "/machine/map", mapBody(nodeKey, { OmitPeers: true }))).status, 200);
});

test("a stream begins with the whole map and goes on with what changes", async (context) => {
  const rig = await startRig(context);
  const one = await joined(rig, "one");
  const stream = await one.client.map(mapBody(one.nodeKey, { Stream: true }));
  assert.equal(stream.status, 200);
  const full = (await stream.next()) as { Node: { Name: string }; Peers?: unknown[] };
  assert.equal(full.Node.Name, "one.test.example.");
  assert.equal(rig.tailnet.node(one.node.id)?.online, true);
  const two = await joined(rig, "two");
  const change = (await stream.next()) as { PeersChanged?: { Name: string }[] };
  assert.deepEqual(
    change.PeersChanged?.map((peer) => peer.Name),
    ["two.test.example."],
  );
  await two.client.request(
    "POST",
    "/machine/map",
    mapBody(two.nodeKey, {
      OmitPeers: true,
      Endpoints: ["192.0.2.1:41641"],
      Hostinfo: null,
      DiscoKey: `discokey:${"0".repeat(64)}`,
    }),
  );
  const patch = (await stream.next()) as { PeersChangedPatch?: { Endpoints?: string[] }[] };
  assert.deepEqual(patch.PeersChangedPatch?.[0]?.Endpoints, ["192.0.2.1:41641"]);
});

test("a stream's own endpoints and hostinfo are taken only where the server has none", async (context) => {
  const rig = await startRig(context);
  const { client, nodeKey, node } = await joined(rig);
  const stream = await client.map(mapBody(nodeKey, { Stream: true, Endpoints: ["192.0.2.1:1"] }));
  await stream.next();
  assert.deepEqual(rig.tailnet.node(node.id)?.endpoints, ["192.0.2.1:1"]);
  const second = await client.map(
    mapBody(nodeKey, {
      Stream: true,
      Endpoints: ["192.0.2.9:9"],
      DiscoKey: `discokey:${"cd".repeat(32)}`,
      Hostinfo: { Hostname: "stale" },
    }),
  );
  await second.next();
  const now = rig.tailnet.node(node.id);
  assert.deepEqual(now?.endpoints, ["192.0.2.1:1"]);
  assert.equal(now?.discoKey, `discokey:${"ab".repeat(32)}`);
  assert.equal(now?.hostinfo.Hostname, "laptop");
});

test("of two streams of a node the newer one lives, and its node stays online", async (context) => {
  const rig = await startRig(context);
  const { client, nodeKey, node, machine } = await joined(rig);
  const older = await client.map(mapBody(nodeKey, { Stream: true }));
  await older.next();
  const other = await rig.connect(machine);
  const newer = await other.map(mapBody(nodeKey, { Stream: true }));
  await newer.next();
  assert.equal(await older.next(), undefined);
  rig.clock.advance(60_000);
  rig.tailnet.tick();
  assert.equal(rig.tailnet.node(node.id)?.online, true);
  assert.equal(rig.counters.streamsOpen, 1);
  newer.cancel();
  await rig.settle(() => rig.counters.streamsOpen === 0);
  rig.clock.advance(11_000);
  rig.tailnet.tick();
  assert.equal(rig.tailnet.node(node.id)?.online, false);
});

test("a single map comes framed and ends; an expired node is still given one", async (context) => {
  const rig = await startRig(context);
  const { client, nodeKey, node } = await joined(rig);
  await rig.tailnet.expireNode(actor, node.id, rig.clock.now() - 1000);
  const stream = await client.map(mapBody(nodeKey));
  const map = (await stream.next()) as { Node: { KeyExpiry: string } };
  assert.ok(Date.parse(map.Node.KeyExpiry) < rig.clock.now());
  assert.equal(await stream.next(), undefined);
});

test("a deleted node's stream says that its key is over, and ends", async (context) => {
  const rig = await startRig(context);
  const { client, nodeKey, node } = await joined(rig);
  const stream = await client.map(mapBody(nodeKey, { Stream: true }));
  await stream.next();
  await rig.tailnet.deleteNode(actor, node.id);
  const last = (await stream.next()) as { Node: { KeyExpiry: string } };
  assert.ok(Date.parse(last.Node.KeyExpiry) <= rig.clock.now());
  assert.equal(await stream.next(), undefined);
  await rig.settle(() => rig.counters.streamsOpen === 0);
});

test("a node answers what it is asked, and nobody can answer for it", async (context) => {
  const rig = await startRig(context);
  const { client, nodeKey, node } = await joined(rig);
  assert.deepEqual(await rig.core.calls.c2n(node.id, { method: "GET", path: "/echo" }), {
    ok: false,
    failure: "offline",
  });
  const stream = await client.map(mapBody(nodeKey, { Stream: true }));
  await stream.next();
  const thief = await rig.connect();
  let asked = "";
  let answered = Promise.resolve();
  client.onPing = (ping) => {
    asked = Buffer.from(ping.Payload ?? "", "base64").toString();
    const path = ping.URL.slice("https://control.test:8080".length);
    const reply = "HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nhello";
    answered = (async () => {
      assert.equal((await thief.request("POST", path, reply)).status, 404);
      assert.equal((await client.request("POST", path, reply)).status, 200);
      assert.equal((await client.request("POST", path, reply)).status, 404, "an answer counts once");
    })();
  };
  const result = await rig.core.calls.c2n(node.id, { method: "POST", path: "/echo", body: Buffer.from("hi") });
  assert.ok(result.ok);
  await answered;
  assert.equal(result.response.status, 200);
  assert.equal(result.response.headers.get("x-a"), "b");
  assert.equal(Buffer.from(result.response.body).toString(), "hello");
  assert.match(asked, /^POST \/echo HTTP\/1\.1\r\nHost: c2n\r\n.*Content-Length: 2\r\n\r\nhi$/s);

  client.onPing = undefined;
  const silent = rig.core.calls.c2n(node.id, { method: "GET", path: "/echo", timeoutMs: 5000 });
  rig.clock.advance(5000);
  assert.deepEqual(await silent, { ok: false, failure: "timeout" });
});

test("a probe is answered over Noise, and questions to one node are bounded", async (context) => {
  const rig = await startRig(context);
  const { client, nodeKey, node } = await joined(rig);
  const stream = await client.map(mapBody(nodeKey, { Stream: true }));
  await stream.next();
  let answered: Promise<unknown> = Promise.resolve();
  client.onPing = (ping) => {
    answered = client.request("HEAD", ping.URL.slice("https://control.test:8080".length));
  };
  assert.equal((await rig.core.calls.probe(node.id, 4000)).ok, true);
  await answered;
  client.onPing = undefined;
  const many = Array.from({ length: 20 }, () => rig.core.calls.probe(node.id, 4000));
  rig.clock.advance(4000);
  const failures = (await Promise.all(many)).map((outcome) => (outcome.ok ? "" : outcome.failure));
  assert.equal(failures.filter((failure) => failure === "timeout").length, 16);
  assert.equal(failures.filter((failure) => failure === "busy").length, 4);
});
