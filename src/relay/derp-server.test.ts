import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { frameType } from "../wire/derp-frames.ts";
import { generatePrivateKey, nodeKeyText } from "../wire/keys.ts";
import { createManualClock } from "./clock.ts";
import { createRig, discoPacket, until } from "./rig.test-data.ts";

test("a packet arrives with its sender's key and unchanged bytes", async () => {
  await using rig = await createRig();
  const [a, b] = [await rig.client(), await rig.client()];
  const packet = randomBytes(1300);
  a.send(b.key.publicRaw, packet);
  const got = await b.next("packet");
  assert.deepEqual(got.packet, packet);
  assert.deepEqual(got.source, Buffer.from(a.key.publicRaw));
});

test("packets of any size up to the limit arrive in order, whatever the chunks they come in", async () => {
  await using rig = await createRig();
  const [a, b, c] = [await rig.client(), await rig.client(), await rig.client()];
  const sizes = [0, 1, 1280, 65536, 40000, 3, 65536, 1280, 1280, 17];
  for (const [i, size] of sizes.entries()) {
    a.send((i % 3 === 2 ? c : b).key.publicRaw, Buffer.alloc(size, i));
  }
  const wanted = { b: sizes.filter((_, i) => i % 3 !== 2), c: sizes.filter((_, i) => i % 3 === 2) };
  for (const [client, list] of [
    [b, wanted.b],
    [c, wanted.c],
  ] as const) {
    for (const size of list) {
      assert.equal((await client.next("packet")).packet.length, size);
    }
  }
  assert.equal(rig.relay.counters.packetsOut, sizes.length);
});

test("frames for one peer that arrive together leave as one write", async () => {
  await using rig = await createRig();
  const [a, b] = [await rig.client(), await rig.client()];
  a.socket.cork();
  for (let i = 0; i < 20; i++) {
    a.send(b.key.publicRaw, Buffer.alloc(100, i));
  }
  a.socket.uncork();
  for (let i = 0; i < 20; i++) {
    assert.equal((await b.next("packet")).packet[0], i);
  }
  assert.equal(rig.relay.counters.packetsOut, 20);
  assert.ok(rig.relay.counters.runs <= 2, `${rig.relay.counters.runs} writes`);
});

test("a fast start answers with frames alone", async () => {
  await using rig = await createRig();
  const a = await rig.client({ fastStartKey: rig.relay.publicKey });
  a.ping(Buffer.from("12345678"));
  assert.equal((await a.next("pong")).data.toString(), "12345678");
});

test("a node that is not admitted is hung up on, and doubt is no admission", async () => {
  const friend = generatePrivateKey();
  const answers = new Map<string, () => boolean | Promise<boolean>>([[nodeKeyText(friend.publicRaw), () => true]]);
  await using rig = await createRig({ admit: (key) => (answers.get(key) ?? ((): boolean => false))() });
  await assert.rejects(rig.client(), /hung up/);
  const failing = generatePrivateKey();
  answers.set(nodeKeyText(failing.publicRaw), () => Promise.reject(new Error("the store is away")));
  await assert.rejects(rig.client({ privateKey: failing }), /hung up/);
  await rig.client({ privateKey: friend });
  assert.equal(rig.relay.counters.refused["not-admitted"], 2);
  assert.equal(rig.relay.stats().clients, 1);
});

test("an admission that takes too long is a refusal", async () => {
  const clock = createManualClock();
  let asked = 0;
  await using rig = await createRig({
    clock,
    admit: () => {
      asked++;
      return new Promise(() => undefined);
    },
  });
  const dialling = assert.rejects(rig.client(), /hung up/);
  await until(() => asked === 1);
  clock.advance(5000);
  await dialling;
  assert.equal(rig.relay.counters.refused["not-admitted"], 1);
});

test("whoever is silent after the upgrade is hung up on after ten seconds", async () => {
  const clock = createManualClock();
  await using rig = await createRig({ clock });
  const { connect } = await import("node:net");
  const socket = connect(rig.port, "127.0.0.1");
  socket.write("GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n");
  await until(() => rig.relay.stats().handshaking === 1);
  const ended = new Promise((done) => socket.on("close", done));
  socket.resume();
  clock.advance(9_999);
  assert.equal(rig.relay.stats().handshaking, 1);
  clock.advance(1);
  await ended;
  assert.equal(rig.relay.counters.refused["handshake-timeout"], 1);
  assert.equal(rig.relay.stats().handshaking, 0);
});

test("those who were sent to learn when the sender goes", async () => {
  await using rig = await createRig();
  const [a, b, c] = [await rig.client(), await rig.client(), await rig.client()];
  a.send(b.key.publicRaw, Buffer.from("hello"));
  await b.next("packet");
  a.close();
  const gone = await b.next("peer-gone");
  assert.deepEqual([gone.key, gone.reason], [Buffer.from(a.key.publicRaw), 0]);
  await until(() => rig.relay.stats().clients === 2);
  c.ping(Buffer.from("12345678"));
  await c.next("pong");
  assert.equal(c.events.length, 1, "c was never sent to and is told nothing");
});

test("disco to a stranger is answered with NotHere, at most three times in a burst", async () => {
  const clock = createManualClock();
  await using rig = await createRig({ clock });
  const a = await rig.client();
  const stranger = generatePrivateKey().publicRaw;
  for (let i = 0; i < 10; i++) {
    a.send(stranger, discoPacket());
  }
  a.send(stranger, Buffer.alloc(100));
  a.ping(Buffer.from("12345678"));
  await a.next("pong");
  const gone = () => a.events.filter((event) => event.kind === "peer-gone");
  assert.equal(gone().length, 3);
  assert.deepEqual(gone()[0], { kind: "peer-gone", key: Buffer.from(stranger), reason: 1 });
  clock.advance(1000);
  a.send(stranger, discoPacket());
  await until(() => gone().length === 4);
  assert.equal(rig.relay.counters.dropped["unknown-destination"], 12);
});

test("of two connections with one key the one that wrote last gets the packets", async () => {
  await using rig = await createRig();
  const privateKey = generatePrivateKey();
  const [first, sender] = [await rig.client({ privateKey }), await rig.client()];
  const second = await rig.client({ privateKey });
  sender.send(privateKey.publicRaw, Buffer.from("to the newest"));
  assert.equal((await second.next("packet")).packet.toString(), "to the newest");
  first.ping(Buffer.from("12345678"));
  await first.next("pong");
  sender.send(privateKey.publicRaw, Buffer.from("to the last writer"));
  assert.equal((await first.next("packet")).packet.toString(), "to the last writer");
  first.close();
  await until(() => rig.relay.stats().connections === 2);
  sender.send(privateKey.publicRaw, Buffer.from("to the one left"));
  assert.equal((await second.next("packet")).packet.toString(), "to the one left");
  assert.ok(!sender.events.some((event) => event.kind === "peer-gone"));
});

test("a key with too many connections loses the one longest silent", async () => {
  await using rig = await createRig({ limits: { connectionsPerKey: 2 } });
  const privateKey = generatePrivateKey();
  const clients = [];
  for (let i = 0; i < 3; i++) {
    clients.push(await rig.client({ privateKey }));
  }
  await clients[0]?.closed;
  assert.equal(rig.relay.stats().connections, 2);
});

test("keep-alives come every 60 s and a little later each", async () => {
  const clock = createManualClock();
  await using rig = await createRig({ clock, random: () => 0.5 });
  const a = await rig.client();
  clock.advance(62_000);
  assert.equal(a.events.length, 0);
  clock.advance(1_000);
  await a.next("keep-alive");
  clock.advance(63_000);
  await a.next("keep-alive");
});

test("unknown frame types are read past, malformed known ones end the connection", async () => {
  await using rig = await createRig();
  const a = await rig.client();
  a.raw(0x77, randomBytes(200_000));
  a.raw(frameType.pong, randomBytes(8));
  a.ping(Buffer.from("12345678"));
  await a.next("pong");
  const bad: readonly (readonly [number, number])[] = [
    [frameType.sendPacket, 31],
    [frameType.sendPacket, 65536 + 33],
    [frameType.ping, 7],
    [frameType.ping, 1001],
    [frameType.notePreferred, 2],
    [frameType.watchConns, 0],
    [frameType.closePeer, 32],
    [frameType.forwardPacket, 80],
    [0x99, (1 << 20) + 1],
  ];
  for (const [type, length] of bad) {
    const client = await rig.client();
    client.raw(type, Buffer.alloc(length));
    await client.closed;
  }
  assert.equal(rig.relay.counters.refused.protocol, bad.length);
  assert.equal(rig.relay.stats().connections, 1);
});

test("NotePreferred is counted once per connection and forgotten with it", async () => {
  await using rig = await createRig();
  const a = await rig.client();
  a.notePreferred(true);
  a.notePreferred(true);
  await until(() => rig.relay.counters.homeClients === 1);
  a.close();
  await until(() => rig.relay.stats().connections === 0);
  assert.equal(rig.relay.counters.homeClients, 0);
});

test("a mesh peer watches, forwards and closes; without the key it may not", async () => {
  const meshKey = randomBytes(32);
  await using rig = await createRig({ meshKey, admit: (key) => key !== "nodekey:" });
  const a = await rig.client();
  const mesh = await rig.client({ meshKey: meshKey.toString("hex") });
  mesh.watchConns();
  const present = [await mesh.next("peer-present"), await mesh.next("peer-present")];
  assert.deepEqual(new Set(present.map((event) => event.flags)), new Set([1, 2]), "a client and the mesh peer itself");
  assert.equal(present[0]?.ip?.toString("hex"), "00000000000000000000ffff7f000001");
  const b = await rig.client({ idealNode: "900b" });
  const later = await mesh.next("peer-present");
  assert.deepEqual([later.key, later.flags], [Buffer.from(b.key.publicRaw), 1 | 8]);

  const far = generatePrivateKey().publicRaw;
  mesh.forward(far, a.key.publicRaw, Buffer.from("from another relay"));
  const packet = await a.next("packet");
  assert.deepEqual([packet.source, packet.packet.toString()], [Buffer.from(far), "from another relay"]);

  mesh.closePeer(b.key.publicRaw);
  await b.closed;
  assert.deepEqual((await mesh.next("peer-gone")).key, Buffer.from(b.key.publicRaw));

  const guesser = await rig.client({ meshKey: randomBytes(32).toString("hex") });
  guesser.watchConns();
  await guesser.closed;
});

test("a graceful close tells clients to come back", async () => {
  await using rig = await createRig();
  const a = await rig.client();
  await rig.relay.close({ graceful: true, reconnectInMs: 250, tryForMs: 9000 });
  assert.deepEqual(await a.next("restarting"), { kind: "restarting", reconnectInMs: 250, tryForMs: 9000 });
  await a.closed;
});

test("health is told to those here and to those who come", async () => {
  await using rig = await createRig();
  const a = await rig.client();
  rig.relay.setHealth("the mesh is torn");
  assert.equal((await a.next("health")).problem, "the mesh is torn");
  const b = await rig.client();
  assert.equal((await b.next("health")).problem, "the mesh is torn");
  rig.relay.setHealth("");
  assert.equal((await b.next("health")).problem, "");
});

test("a deleted node loses its connections", async () => {
  await using rig = await createRig();
  const a = await rig.client();
  const key = nodeKeyText(a.key.publicRaw);
  assert.ok(rig.relay.isConnected(key));
  rig.relay.disconnect(key);
  await a.closed;
  assert.ok(!rig.relay.isConnected(key));
});

test("a client over its rate is slowed down, not cut", async () => {
  const clock = createManualClock();
  await using rig = await createRig({ clock, limits: { clientBytesPerSecond: 100_000 } });
  const [a, b] = [await rig.client(), await rig.client()];
  assert.equal(a.info.TokenBucketBytesPerSecond, 100_000);
  for (let i = 0; i < 200; i++) {
    a.send(b.key.publicRaw, Buffer.alloc(60_000, i));
  }
  await until(() => rig.relay.counters.rateLimited === 1);
  const before = rig.relay.counters.packetsIn;
  assert.ok(before < 20, `${before} packets passed`);
  while (b.events.length < 200) {
    clock.advance(1000);
    await new Promise((done) => setImmediate(done));
  }
});
