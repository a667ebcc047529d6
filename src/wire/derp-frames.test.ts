import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import * as derp from "./derp-frames.ts";
import { FrameSplitter, type FrameDecision } from "./derp-splitter.ts";

const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const packet = fc.uint8Array({ maxLength: 2000 });
const b = (bytes: Uint8Array): Buffer => Buffer.from(bytes);

function payloadOf(frame: Buffer): Buffer {
  assert.equal(frame.readUInt32BE(1), frame.length - derp.headerLength);
  return frame.subarray(derp.headerLength);
}

test("what is encoded is parsed back, for every frame type", () => {
  fc.assert(
    fc.property(key, key, packet, fc.nat(255), fc.nat(65535), (k1, k2, p, small, port) => {
      const nonce = k2.subarray(0, 24);
      const data = p.length >= 8 ? p.subarray(0, 8) : Buffer.alloc(8, small);
      assert.deepEqual(derp.parseServerKey(payloadOf(derp.encodeServerKey(k1))), b(k1));
      assert.deepEqual(derp.parseClientInfo(payloadOf(derp.encodeClientInfo(k1, nonce, p))), {
        clientKey: b(k1),
        nonce: b(nonce),
        box: b(p),
      });
      assert.deepEqual(derp.parseServerInfo(payloadOf(derp.encodeServerInfo(nonce, p))), {
        nonce: b(nonce),
        box: b(p),
      });
      for (const encode of [derp.encodeSendPacket, derp.encodeRecvPacket]) {
        assert.deepEqual(derp.parsePacket(payloadOf(encode(k1, p))), { key: b(k1), packet: b(p) });
      }
      assert.deepEqual(derp.parseForwardPacket(payloadOf(derp.encodeForwardPacket(k1, k2, p))), {
        source: b(k1),
        destination: b(k2),
        packet: b(p),
      });
      assert.deepEqual(derp.parsePeerGone(payloadOf(derp.encodePeerGone(k1, small))), { key: b(k1), reason: small });
      const ip = k2.subarray(0, 16);
      assert.deepEqual(derp.parsePeerPresent(payloadOf(derp.encodePeerPresent(k1, ip, port, small))), {
        key: b(k1),
        ip: b(ip),
        port,
        flags: small,
      });
      assert.deepEqual(derp.parseClosePeer(payloadOf(derp.encodeClosePeer(k1))), b(k1));
      assert.deepEqual(derp.parsePing(payloadOf(derp.encodePing(data))), b(data));
      assert.deepEqual(derp.parsePing(payloadOf(derp.encodePong(data))), b(data));
      assert.deepEqual(derp.parseRestarting(payloadOf(derp.encodeRestarting(port, small))), {
        reconnectInMs: port,
        tryForMs: small,
      });
      assert.equal(derp.parseNotePreferred(payloadOf(derp.encodeNotePreferred(small > 9))), small > 9);
    }),
    { numRuns: 100 },
  );
});

test("short and long forms that the reference allows are read", () => {
  const k = Buffer.alloc(32, 1);
  assert.deepEqual(derp.parsePeerPresent(k), { key: k });
  assert.equal(derp.parsePeerPresent(Buffer.concat([k, Buffer.alloc(18)]))?.flags, undefined);
  assert.equal(derp.parsePeerPresent(Buffer.alloc(80, 3))?.flags, 3);
  assert.deepEqual(derp.parsePeerGone(k), { key: k, reason: 0 });
  assert.equal(derp.parseServerKey(Buffer.concat([payloadOf(derp.encodeServerKey(k)), k]))?.length, 32);
  assert.equal(derp.parsePing(Buffer.alloc(1000))?.length, 8);
});

test("parsers take any bytes and answer with a part of them or nothing", () => {
  const parsers = [
    derp.parseServerKey,
    derp.parseClientInfo,
    derp.parseServerInfo,
    derp.parsePacket,
    derp.parseForwardPacket,
    derp.parsePeerGone,
    derp.parsePeerPresent,
    derp.parseClosePeer,
    derp.parsePing,
    derp.parseRestarting,
    derp.parseNotePreferred,
  ];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
      for (const parse of parsers) {
        parse(b(bytes));
      }
      derp.isDisco(b(bytes), 0, bytes.length);
    }),
    { numRuns: 300 },
  );
});

test("only magic, key and nonce in full make a disco packet", () => {
  const whole = Buffer.concat([Buffer.from("TS💬"), Buffer.alloc(56)]);
  assert.ok(derp.isDisco(whole, 0, whole.length));
  assert.ok(!derp.isDisco(whole, 0, whole.length - 1));
  assert.ok(!derp.isDisco(whole, 1, whole.length));
  assert.ok(derp.isDisco(Buffer.concat([Buffer.alloc(9), whole]), 9, 9 + whole.length));
});

interface Seen {
  readonly type: number;
  readonly payload: string;
}

/** Feeds `stream` in pieces cut at the given places; frames of odd types are skipped. */
function split(stream: Buffer, cuts: readonly number[]): { readonly seen: readonly Seen[]; readonly buffered: number } {
  const seen: Seen[] = [];
  let lastBuffer: Buffer | undefined;
  const splitter = new FrameSplitter({
    accept: (type): FrameDecision => (type % 2 === 0 ? "take" : "skip"),
    frame(type, buffer, start, end) {
      assert.ok(lastBuffer === undefined || lastBuffer === buffer, "flush comes before the buffer changes");
      lastBuffer = buffer;
      assert.equal(buffer.readUInt32BE(start + 1), end - start - derp.headerLength);
      seen.push({ type, payload: buffer.toString("hex", start + derp.headerLength, end) });
    },
    flush() {
      lastBuffer = undefined;
    },
  });
  let at = 0;
  for (const cut of [...cuts, stream.length].filter((cut) => cut <= stream.length).sort((x, y) => x - y)) {
    assert.ok(splitter.push(Buffer.from(stream.subarray(at, cut))));
    at = cut;
  }
  return { seen, buffered: splitter.buffered };
}

test("a stream is cut into the same frames however it is chunked", () => {
  const frames = fc.array(fc.tuple(fc.nat(9), fc.uint8Array({ maxLength: 40 })), { maxLength: 12 });
  fc.assert(
    fc.property(frames, fc.array(fc.nat(400), { maxLength: 30 }), (list, cuts) => {
      const stream = Buffer.concat(list.map(([type, payload]) => derp.encodeFrame(type, payload)));
      const { seen, buffered } = split(stream, cuts);
      const wanted = list
        .filter(([type]) => type % 2 === 0)
        .map(([type, payload]) => ({ type, payload: b(payload).toString("hex") }));
      assert.deepEqual(seen, wanted);
      assert.equal(buffered, 0);
    }),
    { numRuns: 400 },
  );
});

test("a frame that is refused ends the stream, also when its header comes in pieces", () => {
  for (const cut of [0, 1, 4, 5, 9]) {
    const seen: number[] = [];
    const splitter = new FrameSplitter({
      accept: (type) => (type === 6 ? "refuse" : "take"),
      frame: (type) => void seen.push(type),
      flush: () => undefined,
    });
    const stream = Buffer.concat([derp.encodeFrame(6, Buffer.alloc(20)), derp.encodeFrame(4)]);
    const first = cut === 0 || splitter.push(stream.subarray(0, cut));
    assert.ok(!splitter.push(stream.subarray(cut)) || !first);
    assert.deepEqual(seen, []);
    assert.equal(splitter.buffered, 0);
  }
});

test("a skipped frame costs no memory, whatever its length says", () => {
  const splitter = new FrameSplitter({ accept: () => "skip", frame: () => assert.fail(), flush: () => undefined });
  const header = Buffer.from([0x77, 0xff, 0xff, 0xff, 0xff]);
  assert.ok(splitter.push(header));
  assert.ok(splitter.push(Buffer.alloc(100_000)));
  assert.equal(splitter.buffered, 0);
});
