import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { encodeRecvPacket, headerLength, packetOffset } from "../wire/derp-frames.ts";
import { createManualClock } from "./clock.ts";
import { createRelayCounters } from "./counters.ts";
import { defaultRelayLimits } from "./limits.ts";
import { Outlet } from "./outlet.ts";
import { PacketQueue } from "./packet-queue.ts";
import { discoPacket } from "./rig.test-data.ts";

const source = Buffer.alloc(32, 9);
const limits = { ...defaultRelayLimits, directBytes: 1000, burstBytes: 1000, queuePackets: 4, queueBytes: 100_000 };

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
  const outlet = new Outlet(stream, limits, counters, createManualClock());
  const run = Buffer.concat([frame(1), frame(2)]);
  outlet.packets(run, 0, run.length, 2);
  assert.equal(written[0]?.buffer, run.buffer, "no copy");
  assert.deepEqual([counters.packetsOut, counters.runs, counters.bytesOut], [2, 1, run.length]);
});

test("for a slow reader the newest packets wait and the oldest go, within the bound", async () => {
  const socket = slowSocket();
  const counters = createRelayCounters();
  const outlet = new Outlet(socket.stream, limits, counters, createManualClock());
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

test("a burst goes through while nothing has waited long; what stands is held short", async () => {
  const socket = slowSocket();
  const counters = createRelayCounters();
  const clock = createManualClock();
  const outlet = new Outlet(socket.stream, { ...limits, burstBytes: 10_000, burstMs: 25 }, counters, clock);
  const send = (n: number): void => {
    const one = frame(n);
    outlet.packets(one, 0, one.length, 1);
  };
  for (let n = 0; n < 10; n++) {
    send(n);
  }
  assert.equal(counters.packetsOut, 10, "more than directBytes at once");
  clock.advance(26);
  send(10);
  assert.equal(counters.packetsOut, 10, "the first byte has waited too long");
  await takeAll(socket);
  assert.equal(counters.packetsOut, 11);
  for (let n = 11; n < 21; n++) {
    send(n);
  }
  assert.equal(counters.packetsOut, 21, "the reader has caught up: bursts are welcome again");
  // A reader that takes steadily is fast even if the socket is never seen empty.
  for (let n = 21; n < 60; n++) {
    socket.take();
    await new Promise((done) => setImmediate(done));
    clock.advance(2);
    send(n);
  }
  assert.equal(counters.packetsOut, 60);
  assert.ok(socket.stream.writableLength > limits.directBytes);
});

test("disco waits in a queue of its own, is not pushed out by traffic, and leaves first", async () => {
  const socket = slowSocket();
  const outlet = new Outlet(socket.stream, limits, createRelayCounters(), createManualClock());
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
  const outlet = new Outlet(
    socket.stream,
    { ...limits, directBytes: 0, burstBytes: 0 },
    createRelayCounters(),
    createManualClock(),
  );
  const run = Buffer.concat([frame(1), frame(2)]);
  outlet.packets(run, 0, run.length, 2);
  outlet.packets(run, 0, run.length, 2);
  run.fill(0);
  assert.equal(outlet.pending, run.length * 2);
});

test("control frames for a reader that is far behind are not sent", () => {
  const socket = slowSocket();
  const counters = createRelayCounters();
  const outlet = new Outlet(socket.stream, limits, counters, createManualClock());
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
  const outlet = new Outlet(socket.stream, limits, createRelayCounters(), createManualClock());
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
  const outlet = new Outlet(
    socket.stream,
    { ...limits, burstBytes: 1_000_000 },
    createRelayCounters(),
    createManualClock(),
  );
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
