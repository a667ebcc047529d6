// One admitted connection: takes its frames apart, forwards packets, answers pings, obeys mesh peers.
// Forwarding is in place: a SendPacket becomes a RecvPacket by overwriting its type and key where it was received, and
// frames that lie one after the other for the same peer leave as one write.
import type { Duplex } from "node:stream";
import {
  encodeKeepAlive,
  encodePeerGone,
  encodePong,
  frameType,
  headerLength,
  isDisco,
  keyLength,
  maxFrameToClient,
  maxPacket,
  packetOffset,
  parseClosePeer,
  parseNotePreferred,
  parsePing,
  peerGoneReason,
  pingLength,
} from "../wire/derp-frames.ts";
import { FrameSplitter, type FrameDecision, type FrameHandler } from "../wire/derp-splitter.ts";
import type { RelayClock } from "./clock.ts";
import type { RefusalReason, RelayCounters } from "./counters.ts";
import type { RelayLimits } from "./limits.ts";
import { Outlet } from "./outlet.ts";
import { activeConnection, closeAll, makeActive, noteSent, rawKeyText, type Peer, type Peers } from "./peers.ts";
import { TokenBucket } from "./token-bucket.ts";

/** What a connection needs of the relay it belongs to. */
export interface ConnectionHouse {
  readonly peers: Peers;
  readonly limits: RelayLimits;
  readonly counters: RelayCounters;
  readonly clock: RelayClock;
  /** Uniform in [0, 1). */
  random(): number;
  watch(connection: RelayConnection): void;
  left(connection: RelayConnection): void;
}

/** What the handshake has found out about a connection. */
export interface Visitor {
  readonly peer: Peer;
  readonly sourceIp: string;
  readonly sourcePort: number;
  /** Showed the mesh key. */
  readonly mesh: boolean;
  readonly prober: boolean;
  /** Came with Ideal-Node: this is not the node of the region it would rather use. */
  readonly notIdeal: boolean;
}

const keepAlive = encodeKeepAlive();

export class RelayConnection implements FrameHandler {
  readonly visitor: Visitor;
  readonly outlet: Outlet;
  readonly #stream: Duplex;
  readonly #house: ConnectionHouse;
  readonly #splitter: FrameSplitter;
  readonly #notHere: TokenBucket;
  readonly #rate: TokenBucket | undefined;
  #keepAliveAt: number;
  #preferred = false;
  #closed = false;

  // The run being gathered: frames for #runPeer that fill #runBuffer[#runStart, #runEnd).
  #runPeer: Peer | undefined;
  #runBuffer: Buffer | undefined;
  #runStart = 0;
  #runEnd = 0;
  #runPackets = 0;

  constructor(stream: Duplex, visitor: Visitor, house: ConnectionHouse) {
    const { limits, clock } = house;
    const now = clock.now();
    this.#stream = stream;
    this.visitor = visitor;
    this.#house = house;
    this.outlet = new Outlet(stream, limits, house.counters, clock);
    this.#splitter = new FrameSplitter(this);
    this.#notHere = new TokenBucket(limits.notHerePerSecond, limits.notHereBurst, now);
    this.#rate =
      limits.clientBytesPerSecond > 0 && !visitor.mesh
        ? new TokenBucket(limits.clientBytesPerSecond, Math.max(limits.clientBytesBurst, maxPacket + keyLength), now)
        : undefined;
    this.#keepAliveAt = this.#nextKeepAlive(now);
  }

  get preferred(): boolean {
    return this.#preferred;
  }

  /** Begins to read, with what came behind the handshake. */
  start(rest: Buffer | undefined): void {
    this.#stream.on("data", (chunk: Buffer) => this.#received(chunk));
    this.#stream.on("end", () => this.close());
    this.#stream.on("close", () => this.close());
    if (rest !== undefined) {
      this.#received(rest);
    }
    this.#stream.resume();
  }

  /** Keep-alive and stall detection; called about once a second from one timer for all. */
  tick(now: number): void {
    const { limits } = this.#house;
    if (this.outlet.isStalled(now, this.visitor.mesh ? limits.meshWriteStallMs : limits.writeStallMs)) {
      this.close("stalled");
    } else if (now >= this.#keepAliveAt) {
      this.#keepAliveAt = this.#nextKeepAlive(now);
      this.outlet.control(keepAlive);
    }
  }

  /** Tells this client that a peer is gone. */
  peerGone(peer: Buffer, reason: number): void {
    if (this.outlet.control(encodePeerGone(peer, reason))) {
      if (reason === peerGoneReason.notHere) {
        this.#house.counters.peerGoneNotHere++;
      } else {
        this.#house.counters.peerGoneDisconnected++;
      }
    }
  }

  /** Ends the connection; `reason` when it is the relay that wants it. Later calls do nothing. */
  close(reason?: RefusalReason): void {
    if (this.#closed) {
      return;
    }
    this.#closed = true;
    if (reason !== undefined) {
      this.#house.counters.refused[reason]++;
    }
    this.#splitter.end();
    this.#note(false);
    this.#house.left(this);
    this.#stream.destroy();
  }

  /** Says goodbye in order: what is written goes out, then the connection ends. */
  finish(): void {
    this.#stream.end();
  }

  accept(type: number, length: number): FrameDecision {
    const mesh = this.visitor.mesh;
    switch (type) {
      case frameType.sendPacket:
        return takeIf(length >= keyLength && length <= keyLength + maxPacket);
      case frameType.forwardPacket:
        return takeIf(mesh && length >= 2 * keyLength && length <= 2 * keyLength + maxPacket);
      case frameType.ping:
        return takeIf(length >= pingLength.least && length <= pingLength.most);
      case frameType.notePreferred:
        return takeIf(length === 1);
      case frameType.watchConns:
        return takeIf(mesh && length === 0);
      case frameType.closePeer:
        return takeIf(mesh && length === keyLength);
      case frameType.pong:
        return "skip";
      default:
        this.#house.counters.unknownFrames++;
        return length <= maxFrameToClient ? "skip" : "refuse";
    }
  }

  frame(type: number, buffer: Buffer, start: number, end: number): void {
    const { peer } = this.visitor;
    if (peer.connections.length > 1) {
      makeActive(peer, this);
    }
    switch (type) {
      case frameType.sendPacket:
        this.#send(buffer, start, end);
        break;
      case frameType.forwardPacket:
        this.#forward(buffer, start, end);
        break;
      case frameType.ping:
        this.#pong(buffer.subarray(start + headerLength, end));
        break;
      case frameType.notePreferred:
        this.#note(parseNotePreferred(buffer.subarray(start + headerLength, end)) ?? false);
        break;
      case frameType.watchConns:
        this.#house.watch(this);
        break;
      case frameType.closePeer:
        this.#closePeer(buffer.subarray(start + headerLength, end));
        break;
      default:
        throw new Error(`frame type ${type} was taken but is not handled`);
    }
  }

  flush(): void {
    const peer = this.#runPeer;
    const buffer = this.#runBuffer;
    if (peer === undefined || buffer === undefined) {
      return;
    }
    this.#runPeer = undefined;
    this.#runBuffer = undefined;
    const target = activeConnection(peer);
    if (target === undefined) {
      this.#house.counters.dropped.gone += this.#runPackets;
      return;
    }
    target.outlet.packets(buffer, this.#runStart, this.#runEnd, this.#runPackets);
  }

  #received(chunk: Buffer): void {
    if (this.#closed) {
      return;
    }
    if (!this.#splitter.push(chunk)) {
      // False also when a handler has closed this connection on purpose; then this is a no-op.
      this.close("protocol");
      return;
    }
    const wait = this.#rate?.spend(chunk.length, this.#house.clock.now()) ?? 0;
    if (wait > 0) {
      this.#house.counters.rateLimited++;
      this.#stream.pause();
      this.#house.clock.after(wait, () => this.#stream.resume());
    }
  }

  #send(buffer: Buffer, start: number, end: number): void {
    const { counters } = this.#house;
    counters.packetsIn++;
    counters.bytesIn += end - start;
    const destination = this.#house.peers.get(rawKeyText(buffer, start + headerLength));
    if (destination === undefined) {
      this.#notKnown(buffer, start, end);
      return;
    }
    buffer[start] = frameType.recvPacket;
    this.visitor.peer.raw.copy(buffer, start + headerLength);
    this.#gather(destination, buffer, start, end);
    noteSent(this.visitor.peer, destination);
  }

  /** A mesh peer's ForwardPacket holds src ‖ dst ‖ packet; the RecvPacket made of it begins 32 bytes later. */
  #forward(buffer: Buffer, start: number, end: number): void {
    const { counters } = this.#house;
    counters.packetsIn++;
    counters.bytesIn += end - start;
    const sourceAt = start + headerLength;
    const destination = this.#house.peers.get(rawKeyText(buffer, sourceAt + keyLength));
    if (destination === undefined) {
      counters.dropped["unknown-destination"]++;
      return;
    }
    counters.forwarded++;
    buffer.copyWithin(sourceAt + keyLength, sourceAt, sourceAt + keyLength);
    const frameAt = start + keyLength;
    buffer[frameAt] = frameType.recvPacket;
    buffer.writeUInt32BE(end - frameAt - headerLength, frameAt + 1);
    this.#gather(destination, buffer, frameAt, end);
  }

  /** Adds a frame to the run, sending the run first when the frame does not continue it. */
  #gather(destination: Peer, buffer: Buffer, start: number, end: number): void {
    if (this.#runPeer === destination && this.#runBuffer === buffer && this.#runEnd === start) {
      this.#runEnd = end;
      this.#runPackets++;
      return;
    }
    this.flush();
    this.#runPeer = destination;
    this.#runBuffer = buffer;
    this.#runStart = start;
    this.#runEnd = end;
    this.#runPackets = 1;
  }

  #notKnown(buffer: Buffer, start: number, end: number): void {
    const { counters, clock } = this.#house;
    counters.dropped["unknown-destination"]++;
    if (isDisco(buffer, start + packetOffset, end) && this.#notHere.take(1, clock.now())) {
      const key = buffer.subarray(start + headerLength, start + packetOffset);
      this.peerGone(key, peerGoneReason.notHere);
    }
  }

  #pong(payload: Buffer): void {
    const data = parsePing(payload);
    if (data !== undefined) {
      this.#house.counters.pings++;
      this.outlet.control(encodePong(data));
    }
  }

  #note(preferred: boolean): void {
    if (preferred !== this.#preferred) {
      this.#preferred = preferred;
      this.#house.counters.homeClients += preferred ? 1 : -1;
    }
  }

  #closePeer(payload: Buffer): void {
    const key = parseClosePeer(payload);
    closeAll(key === undefined ? undefined : this.#house.peers.get(rawKeyText(key, 0)));
  }

  #nextKeepAlive(now: number): number {
    const { keepAliveMs, keepAliveJitterMs } = this.#house.limits;
    return now + keepAliveMs + this.#house.random() * keepAliveJitterMs;
  }
}

function takeIf(allowed: boolean): FrameDecision {
  return allowed ? "take" : "refuse";
}
