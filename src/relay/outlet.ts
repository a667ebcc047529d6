// The sending side of one connection (protocol §8.4). While the reader keeps up, runs of frames go to the socket as they
// are, without a copy. When it does not, packets wait in two bounded queues, disco apart from the rest so that paths can
// still be found through a congested relay; the oldest go first when a queue is full. What waits is copied, so that a
// small packet never keeps a whole received chunk alive. The bound per connection is
// burstBytes + one chunk + 2 × queueBytes, whatever the reader does.
import type { Duplex } from "node:stream";
import { headerLength, isDisco, packetOffset } from "../wire/derp-frames.ts";
import type { RelayClock } from "./clock.ts";
import type { RelayCounters } from "./counters.ts";
import type { RelayLimits } from "./limits.ts";
import { PacketQueue } from "./packet-queue.ts";

/** The piece of a write that should be through within writeStallMs even on a slow line. */
const stallUnit = 64 * 1024;
/** … and how many of them are waited for at most. */
const maxStallUnits = 16;

export class Outlet {
  readonly #socket: Duplex;
  readonly #limits: RelayLimits;
  readonly #counters: RelayCounters;
  readonly #disco: PacketQueue;
  readonly #other: PacketQueue;
  readonly #clock: RelayClock;
  #written = 0;
  // Progress as last seen by isStalled.
  #taken = 0;
  #takenAt: number;
  // A byte of the stream and when it was written: its age tells how long bytes wait in the socket.
  #mark = 0;
  #markAt: number;

  constructor(socket: Duplex, limits: RelayLimits, counters: RelayCounters, clock: RelayClock) {
    const now = clock.now();
    this.#clock = clock;
    this.#socket = socket;
    this.#limits = limits;
    this.#counters = counters;
    this.#disco = new PacketQueue(limits.queuePackets, limits.queueBytes);
    this.#other = new PacketQueue(limits.queuePackets, limits.queueBytes);
    this.#takenAt = now;
    this.#markAt = now;
    socket.on("drain", () => this.#flush());
  }

  /** Bytes that wait here or in the socket. */
  get pending(): number {
    return this.#socket.writableLength + this.#disco.bytes + this.#other.bytes;
  }

  /** Sends the RecvPacket frames that fill `buffer[start, end)`. */
  packets(buffer: Buffer, start: number, end: number, count: number): void {
    if (!this.#socket.writable) {
      this.#counters.dropped.gone += count;
      return;
    }
    if (this.#mayWrite()) {
      this.#counters.runs++;
      this.#sent(count, end - start);
      this.#write(buffer.subarray(start, end));
      return;
    }
    for (let at = start; at < end;) {
      const next = at + headerLength + buffer.readUInt32BE(at + 1);
      const queue = isDisco(buffer, at + packetOffset, next) ? this.#disco : this.#other;
      this.#counters.dropped["queue-full"] += queue.push(Buffer.from(buffer.subarray(at, next)));
      at = next;
    }
  }

  /** Sends a frame of the relay's own. False when more than `bound` bytes wait already: then it is not sent. */
  control(frame: Buffer, bound: number = this.#limits.controlBytes): boolean {
    if (!this.#socket.writable || this.#socket.writableLength > bound) {
      this.#counters.dropped["slow-control"]++;
      return false;
    }
    this.#write(frame);
    return true;
  }

  /** True when the reader has taken nothing for too long; asked from time to time. */
  isStalled(now: number, stallMs: number): boolean {
    const pending = this.#socket.writableLength;
    const taken = this.#written - pending;
    if (pending === 0 || taken !== this.#taken) {
      this.#taken = taken;
      this.#takenAt = now;
      return false;
    }
    // A write is seen to end only as a whole: large ones get the time that a slow but living line needs.
    return now - this.#takenAt > stallMs * Math.min(maxStallUnits, Math.ceil(pending / stallUnit));
  }

  #mayWrite(): boolean {
    const { writableLength: pending, writableNeedDrain: willDrain } = this.#socket;
    // Without a pending "drain" nobody would empty the queues.
    return this.#disco.length + this.#other.length === 0 && (!willDrain || pending <= this.#room(pending));
  }

  /** How many bytes may wait in the socket now. */
  #room(pending: number): number {
    const now = this.#clock.now();
    if (this.#written - pending >= this.#mark) {
      this.#mark = this.#written;
      this.#markAt = now;
    }
    return now - this.#markAt <= this.#limits.burstMs ? this.#limits.burstBytes : this.#limits.directBytes;
  }

  #flush(): void {
    if (this.#disco.length + this.#other.length === 0) {
      return;
    }
    this.#socket.cork();
    for (const queue of [this.#disco, this.#other]) {
      for (const frame of queue.drain()) {
        this.#sent(1, frame.length);
        this.#write(frame);
      }
    }
    this.#socket.uncork();
  }

  #sent(packets: number, bytes: number): void {
    this.#counters.packetsOut += packets;
    this.#counters.bytesOut += bytes;
  }

  #write(bytes: Buffer): void {
    this.#written += bytes.length;
    this.#socket.write(bytes);
  }
}
