// The relay among peers that misbehave: it never crashes, hangs or keeps what they left behind.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import * as fc from "fast-check";
import { WebSocket } from "ws";
import {
  encodeClientInfo,
  encodeFrame,
  encodePing,
  encodeSendPacket,
  frameType,
  headerLength,
  parsePacket,
  parseServerKey,
} from "../wire/derp-frames.ts";
import { FrameSplitter } from "../wire/derp-splitter.ts";
import { generatePrivateKey } from "../wire/keys.ts";
import { boxReady, sealBox, sharedBoxKey } from "../wire/nacl-box.ts";
import { createManualClock } from "./clock.ts";
import { parseClientInfoJson } from "./handshake.ts";
import { createRig, until, type Rig } from "./rig.test-data.ts";

const upgrade = "GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: DERP\r\nConnection: Upgrade\r\nDerp-Fast-Start: 1\r\n\r\n";

function open(rig: Rig): Socket {
  return connect(rig.port, "127.0.0.1").on("error", () => undefined);
}

/** Sends bytes after an upgrade and waits until the relay hangs up. */
async function sendUntilClosed(rig: Rig, bytes: Uint8Array): Promise<Buffer> {
  const socket = open(rig);
  const received: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => received.push(chunk));
  socket.write(upgrade);
  socket.write(bytes);
  socket.end();
  await new Promise((done) => socket.on("close", done));
  return Buffer.concat(received);
}

function clientInfo(rig: Rig, json: string, key = generatePrivateKey()): Buffer {
  const shared = sharedBoxKey(rig.relay.publicKey, key);
  assert.ok(shared !== undefined);
  const nonce = randomBytes(24);
  return encodeClientInfo(key.publicRaw, nonce, sealBox(Buffer.from(json), nonce, shared));
}

test("first frames that are no proper ClientInfo are hung up on", async () => {
  await boxReady;
  await using rig = await createRig();
  const good = clientInfo(rig, "{}");
  const zeroKey = Buffer.from(good);
  zeroKey.fill(0, headerLength, headerLength + 32);
  const badBox = Buffer.from(good);
  badBox[badBox.length - 1] = (badBox.at(-1) ?? 0) ^ 1;
  const first = [
    Buffer.alloc(0),
    encodePing(Buffer.alloc(8)),
    encodeFrame(frameType.clientInfo),
    encodeFrame(frameType.clientInfo, Buffer.alloc(40)),
    encodeFrame(frameType.clientInfo, Buffer.alloc(16 * 1024 + 1)),
    Buffer.from([frameType.clientInfo, 0xff, 0xff, 0xff, 0xff]),
    zeroKey,
    badBox,
    good.subarray(0, good.length - 1),
    clientInfo(rig, "not json"),
    clientInfo(rig, "[]"),
    clientInfo(rig, "null"),
  ];
  for (const bytes of first) {
    const reply = await sendUntilClosed(rig, bytes);
    assert.equal(reply[0], frameType.serverKey);
    assert.ok(parseServerKey(reply.subarray(headerLength)) !== undefined);
    assert.equal(reply.length, headerLength + 40, "a ServerKey and nothing more");
  }
  await until(() => rig.relay.stats().handshaking === 0);
  assert.equal(rig.relay.counters.refused["bad-handshake"], first.length);
  assert.equal(rig.relay.counters.accepted, 0);
});

test("ClientInfo tolerates unknown and odd fields", () => {
  const parse = (value: unknown) => parseClientInfoJson(Buffer.from(JSON.stringify(value)));
  assert.deepEqual(parse({}), { isProber: false });
  assert.deepEqual(parse({ meshKey: 7, IsProber: "yes", AppName: "x", future: [1] }), { isProber: false });
  assert.deepEqual(parse({ meshKey: "ab", IsProber: true }), { meshKey: "ab", isProber: true });
});

test("random bytes after a good handshake end in order, and others go on undisturbed", async () => {
  await boxReady;
  await using rig = await createRig();
  const [a, b] = [await rig.client(), await rig.client()];
  const known = [a.key.publicRaw, b.key.publicRaw];
  const frames = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc
      .tuple(fc.nat(0x20), fc.uint8Array({ maxLength: 120 }), fc.integer({ min: -8, max: 8 }))
      .map(([type, payload, lie]) => {
        const frame = encodeFrame(type, payload);
        frame.writeUInt32BE(Math.max(0, payload.length + lie), 1);
        return new Uint8Array(frame);
      }),
    fc.tuple(fc.nat(1), fc.uint8Array({ maxLength: 300 })).map(([to, packet]) => {
      return new Uint8Array(encodeSendPacket(known[to] ?? Buffer.alloc(32), packet));
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(frames, { maxLength: 10 }), async (list) => {
      await sendUntilClosed(rig, Buffer.concat([clientInfo(rig, "{}"), ...list]));
    }),
    { numRuns: 150 },
  );
  await until(() => rig.relay.stats().connections === 2);
  a.send(b.key.publicRaw, Buffer.from("still here"));
  let last = await b.next("packet");
  while (last.packet.toString() !== "still here") {
    last = await b.next("packet");
  }
  assert.deepEqual(rig.relay.stats(), { clients: 2, connections: 2, handshaking: 0 });
});

test("half-open peers of the HTTP kind are refused or forgotten", async () => {
  await using rig = await createRig();
  const other = open(rig);
  other.write("GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n");
  const reply = await new Promise<string>((done) => other.on("data", (data: Buffer) => done(data.toString())));
  assert.match(reply, /^HTTP\/1\.1 426 .*DERP requires connection upgrade$/s);
  const resetting = open(rig);
  resetting.write(upgrade);
  await until(() => rig.relay.stats().handshaking === 1);
  resetting.resetAndDestroy();
  await until(() => rig.relay.stats().handshaking === 0);
});

test("handshakes and connections are bounded, per address and in all", async () => {
  await using rig = await createRig({
    sourceIp: (req) => String(req.headers["x-from"] ?? "192.0.2.1"),
    limits: { handshakesPerIp: 2, connectionsPerIp: 3, connections: 4 },
  });
  const silent = [open(rig), open(rig)];
  for (const socket of silent) {
    socket.write(upgrade);
  }
  await until(() => rig.relay.stats().handshaking === 2);
  await assert.rejects(rig.client(), /503/);
  for (const socket of silent) {
    socket.destroy();
  }
  await until(() => rig.relay.stats().handshaking === 0);
  for (let i = 0; i < 3; i++) {
    await rig.client();
  }
  await assert.rejects(rig.client(), /503/);
  assert.equal(rig.relay.counters.refused["too-many"], 2);
});

test("all addresses of one IPv6 network count as one", async () => {
  let host = 0;
  await using rig = await createRig({
    sourceIp: (req) => String(req.headers["x-from"] ?? `2001:db8:1:2::${(++host).toString(16)}`),
    limits: { handshakesPerIp: 2, connectionsPerIp: 3 },
  });
  for (let i = 0; i < 3; i++) {
    await rig.client();
  }
  await assert.rejects(rig.client(), /503/);
  const silent = [1, 2, 3].map((i) => {
    const socket = open(rig);
    socket.write(upgrade.toString().replace("\r\n\r\n", `\r\nX-From: 2001:db8:1:3::${i}\r\n\r\n`));
    return socket;
  });
  await until(() => rig.relay.counters.refused["too-many"] === 2);
  assert.equal(rig.relay.stats().handshaking, 2);
  silent.forEach((socket) => socket.destroy());
});

test("a reader that stops reading loses packets and then its connection, and nobody waits for it", async () => {
  const clock = createManualClock();
  await using rig = await createRig({ clock, limits: { directBytes: 65536, burstBytes: 65536 } });
  const [sender, slow, other] = [await rig.client(), await rig.client(), await rig.client()];
  slow.socket.pause();
  const packet = Buffer.alloc(60_000);
  let sent = 0;
  while (rig.relay.counters.dropped["queue-full"] < 50) {
    sender.send(slow.key.publicRaw, packet);
    sent++;
    await new Promise((done) => setImmediate(done));
    assert.ok(sent < 5_000, "packets are dropped at some point");
  }
  sender.send(other.key.publicRaw, Buffer.from("meanwhile"));
  assert.equal((await other.next("packet")).packet.toString(), "meanwhile");
  clock.advance(60_000);
  await until(() => rig.relay.stats().connections === 2);
  assert.equal(rig.relay.counters.refused.stalled, 1);
});

test("a browser's WebSocket carries the same frames", async () => {
  await boxReady;
  await using rig = await createRig();
  const peer = await rig.client();
  const key = generatePrivateKey();
  const socket = new WebSocket(`ws://127.0.0.1:${rig.port}/derp`, ["other", "derp"], { origin: "https://any.example" });
  socket.binaryType = "nodebuffer";
  const packets: Buffer[] = [];
  const types: number[] = [];
  const splitter = new FrameSplitter({
    accept: () => "take",
    flush: () => undefined,
    frame(type, buffer, start, end) {
      types.push(type);
      if (type === frameType.serverKey) {
        socket.send(clientInfo(rig, "{}", key));
      } else if (type === frameType.recvPacket) {
        packets.push(parsePacket(buffer.subarray(start + headerLength, end))?.packet ?? Buffer.alloc(0));
      }
    },
  });
  socket.on("message", (data: Buffer) => splitter.push(Buffer.from(data)));
  await until(() => types.includes(frameType.serverInfo));
  assert.equal(socket.protocol, "derp");
  assert.equal(socket.extensions, "");
  // One frame over two messages: they are a stream of bytes.
  const frame = encodeSendPacket(peer.key.publicRaw, Buffer.from("from a browser"));
  socket.send(frame.subarray(0, 20));
  socket.send(frame.subarray(20));
  const got = await peer.next("packet");
  assert.equal(got.packet.toString(), "from a browser");
  peer.send(key.publicRaw, Buffer.from("to a browser"));
  await until(() => packets.length === 1);
  assert.equal(packets[0]?.toString(), "to a browser");
  const closed = new Promise((done) => socket.on("close", done));
  socket.close();
  await closed;
  assert.equal((await peer.next("peer-gone")).reason, 0);
});

/** A client's WebSocket frame of zeros, masked with zeros. */
function piece(opcode: number, final: boolean, length: number): Buffer {
  const head = Buffer.alloc(14 + length);
  head[0] = opcode | (final ? 0x80 : 0);
  head[1] = 0x80 | 127;
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

for (const [name, bytes, code] of [
  ["above the limit", piece(2, true, 2 * 65_664), 1009],
  [
    "in a thousand pieces",
    Buffer.concat(Array.from({ length: 1000 }, (_, i) => piece(i === 0 ? 2 : 0, false, 1))),
    1008,
  ],
] as const) {
  test(`a WebSocket message ${name} ends that connection alone`, async () => {
    // No time passes: it is not the handshake's that is over.
    await using rig = await createRig({ clock: createManualClock() });
    const socket = open(rig);
    const heard: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => heard.push(chunk));
    socket.write(
      "GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: derp\r\n" +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    );
    await until(() => rig.relay.stats().handshaking === 1);
    socket.write(bytes);
    await until(() => rig.relay.stats().handshaking === 0);
    const goodbye = Buffer.of(0x88, 2, code >> 8, code & 0xff);
    await until(() => Buffer.concat(heard).includes(goodbye));
    const a = await rig.client();
    a.ping(Buffer.alloc(8));
    await a.next("pong");
    socket.destroy();
  });
}
