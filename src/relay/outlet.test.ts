import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { encodeRecvPacket, headerLength, packetOffset } from "../wire/derp-frames.ts";
import { createRelayCounters } from "./counters.ts";
import { defaultRelayLimits } from "./limits.ts";
import { Outlet } from "./outlet.ts";
import { PacketQueue } from "./packet-queue.ts";
import { discoPacket } from "./rig.test-data.ts";

const source = Buffer.alloc(32, 9);
const limits = { ...defaultRelayLimits, directBytes: 1000, queuePackets: 4, queueBytes: 100_000 };

/** A socket whose reader takes a write only when told to. */
function slowSocket(): { readonly stream: Duplex; readonly taken: Buffer[]; take(): void } {
  const taken: Buffer[] = [];
  const waiting: (() => void)[] = [];
  const stream = new Duplex({
    highWaterMark: 500,
    read: () => undefined,
    write(chunk: Buffer, _encoding, done) {
      waiting.push(() => {
        taken.push(chunk);
        done();
      });
    },
  });
  return { stream, taken, take: () => waiting.shift()?.() };
}

function frame(n: number, size = 300): Buffer {
  return encodeRecvPacket(source, Buffer.alloc(size, n));
}

function numbers(written: readonly Buffer[]): number[] {
  const all = Buffer.concat(written);
  const found: number[] = [];
  for (let at = 0; at < all.length; at += headerLength + all.readUInt32BE(at + 1)) {
    found.push(all.readUInt8(at + packetOffset));
  }
  return found;
}

async function takeAll(socket: ReturnType<typeof slowSocket>): Promise<void> {
  for (let i = 0; i < 40; i++) {
    socket.take();
    await new Promise((done) => setImmediate(done));
  }
}

test("a reader that keeps up gets the received bytes themselves", () => {
  const written: Buffer[] = [];
  const stream = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _e, done) => (written.push(chunk), done()),
  });
  const counters = createRelayCounters();
  const outlet = new Outlet(stream, limits, counters, 0);
  const run = Buffer.concat([frame(1), frame(2)]);
  outlet.packets(run, 0, run.length, 2);
  assert.equal(written[0]?.buffer, run.buffer, "no copy");
  assert.deepEqual([counters.packetsOut, counters.runs, counters.bytesOut], [2, 1, run.length]);
});

test("for a slow reader the newest packets wait and the oldest go, within the bound", async () => {
  const socket = slowSocket();
  const counters = createRelayCounters();
  const outlet = new Outlet(socket.stream, limits, counters, 0);
  for (let n = 0; n < 50; n++) {
    const one = frame(n);
    outlet.packets(one, 0, one.length, 1);
    assert.ok(outlet.pending <= limits.directBytes + 5 * one.length, `${outlet.pending} bytes wait`);
  }
  await takeAll(socket);
  // 0…2 went straight to the socket until it held directBytes, the last four were queued.
  assert.deepEqual(numbers(socket.taken), [0, 1, 2, 46, 47, 48, 49]);
  assert.equal(counters.dropped["queue-full"], 43);
  assert.equal(counters.packetsOut, 7);
});

test("disco waits in a queue of its own, is not pushed out by traffic, and leaves first", async () => {
  const socket = slowSocket();
  const outlet = new Outlet(socket.stream, limits, createRelayCounters(), 0);
  const fill = Buffer.concat([0, 1, 2, 3].map((n) => frame(n)));
  outlet.packets(fill, 0, fill.length, 4);
  const disco = encodeRecvPacket(source, discoPacket());
  outlet.packets(disco, 0, disco.length, 1);
  const run = Buffer.concat(Array.from({ length: 20 }, (_, n) => frame(n + 4)));
  outlet.packets(run, 0, run.length, 20);
  await takeAll(socket);
  assert.deepEqual(numbers(socket.taken), [0, 1, 2, 3, 0x54, 20, 21, 22, 23]);
});

test("what waits is copied: a packet does not keep the chunk it came in", () => {
  const socket = slowSocket();
  const outlet = new Outlet(socket.stream, { ...limits, directBytes: 0 }, createRelayCounters(), 0);
  const run = Buffer.concat([frame(1), frame(2)]);
  outlet.packets(run, 0, run.length, 2);
  outlet.packets(run, 0, run.length, 2);
  run.fill(0);
  assert.equal(outlet.pending, run.length * 2);
});

test("control frames for a reader that is far behind are not sent", () => {
  const socket = slowSocket();
  const counters = createRelayCounters();
  const outlet = new Outlet(socket.stream, limits, counters, 0);
  let sent = 0;
  while (outlet.control(Buffer.alloc(100), 10_000)) {
    sent++;
    assert.ok(sent < 200);
  }
  assert.equal(sent, 101);
  assert.equal(counters.dropped["slow-control"], 1);
  assert.ok(outlet.control(Buffer.alloc(100), 20_000), "a larger bound lets more through");
});

test("a reader that takes nothing is stalled, one that takes a little is not", async () => {
  const socket = slowSocket();
  const outlet = new Outlet(socket.stream, limits, createRelayCounters(), 0);
  assert.ok(!outlet.isStalled(60_000, 2_000), "nothing to write is no stall");
  for (const n of [1, 2, 3]) {
    const one = frame(n);
    outlet.packets(one, 0, one.length, 1);
  }
  assert.ok(!outlet.isStalled(61_000, 2_000));
  socket.take();
  await new Promise((done) => setImmediate(done));
  assert.ok(!outlet.isStalled(62_900, 2_000), "one write was taken");
  assert.ok(!outlet.isStalled(64_900, 2_000));
  assert.ok(outlet.isStalled(64_901, 2_000));
});

test("a line that needs seconds for a large write gets them", () => {
  const socket = slowSocket();
  const outlet = new Outlet(socket.stream, { ...limits, directBytes: 1_000_000 }, createRelayCounters(), 0);
  const big = frame(1, 65_000);
  for (let n = 0; n < 4; n++) {
    outlet.packets(big, 0, big.length, 1);
  }
  assert.ok(!outlet.isStalled(1, 2_000));
  assert.ok(!outlet.isStalled(8_000, 2_000));
  assert.ok(outlet.isStalled(8_002, 2_000));
});

test("a queue is bounded in packets and in bytes, and the newest always stays", () => {
  const queue = new PacketQueue(3, 1000);
  assert.deepEqual(
    [400, 400, 400, 10, 10, 5000].map((size) => queue.push(Buffer.alloc(size))),
    [0, 0, 1, 0, 1, 3],
  );
  assert.deepEqual([queue.length, queue.bytes], [1, 5000]);
  assert.equal(queue.drain().length, 1);
  assert.deepEqual([queue.length, queue.bytes], [0, 0]);
});
