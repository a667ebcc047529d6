// One Noise connection: socket, records, HTTP/2. It gathers requests whole, writes replies and map messages, and holds
// little whatever the client does: request bodies are bounded, map messages wait as references to bytes that all
// sessions share and are sealed only as the socket takes them, a client that does not read is reported and then cut.
import type { MapMessage, SessionId } from "../netmap/contract.ts";
import { errorCodes } from "../wire/h2-frames.ts";
import { defaultLimits } from "../wire/h2-limits.ts";
import { H2Server, type RequestHead, type ServerEvents } from "../wire/h2-server.ts";
import type { MachineKey } from "../wire/ids.ts";
import type { SessionKeys } from "../wire/noise.ts";
import { RecordReader } from "../wire/record.ts";
import { AskingLimits } from "./asking-limits.ts";
import { BodyBuffer } from "./body-buffer.ts";
import type { ConnectionOwner } from "./connection-owner.ts";
import type { EdgeReply } from "./edge-link.ts";
import { MapStream } from "./map-stream.ts";
import { maxAlone, RecordOutlet, type WriteOutcome } from "./record-outlet.ts";
import { replyHead } from "./reply-head.ts";
import type { SealBuffers } from "./seal-buffers.ts";
import type { Transport } from "./transport.ts";

/** Largest request body. */
export const maxBody = 1024 * 1024;
/** Unsent bytes that no well-behaved client can cause. */
const cutAbove = 64 * 1024 * 1024;

const limits = { ...defaultLimits, streams: 128 };
/** Requests under way at once of a machine that belongs to no node; it has a login to wait for and little else. */
const strangerStreams = 16;

interface Receiving {
  readonly kind: "receiving";
  readonly head: RequestHead;
  readonly body: BodyBuffer;
  readonly startedAt: number;
}
interface Waiting {
  readonly kind: "waiting";
}
interface Streaming {
  readonly kind: "streaming";
  readonly map: MapStream;
}
type StreamState = Receiving | Waiting | Streaming;

export interface ConnectionOptions {
  readonly transport: Transport;
  readonly keys: SessionKeys;
  readonly machineKey: MachineKey;
  readonly capVersion: number;
  readonly source: string;
  readonly owner: ConnectionOwner;
  /** Milliseconds on a clock that does not go back. */
  readonly now: () => number;
  readonly buffers: SealBuffers;
}

export class Connection implements ServerEvents {
  readonly machineKey: MachineKey;
  readonly capVersion: number;
  readonly source: string;
  readonly openedAt: number;
  /** Set once a reply said that the machine is known; until then it is a stranger's connection. */
  known = false;
  /** When the client was last heard. */
  heardAt: number;
  /** A request has come, so the client holds the keys it claims. */
  proven = false;
  readonly #owner: ConnectionOwner;
  readonly #now: () => number;
  readonly #reader: RecordReader;
  readonly #outlet: RecordOutlet;
  readonly #h2: H2Server;
  readonly #streams = new Map<number, StreamState>();
  readonly #asking = new AskingLimits();
  /** Of some session more waited than may, when that was last looked at. */
  #someBlocked = false;
  /** Whose `lone` message leaves with the next `flush`. */
  #lone: MapStream | undefined;
  #dirty = false;
  /** A request came up whole in the bytes under way. */
  #answering = false;
  #state: "open" | "ending" | "closed" = "open";

  constructor(options: ConnectionOptions) {
    this.machineKey = options.machineKey;
    this.capVersion = options.capVersion;
    this.source = options.source;
    this.#owner = options.owner;
    this.#now = options.now;
    this.openedAt = this.heardAt = options.now();
    this.#reader = new RecordReader(options.keys.receiveKey);
    const { transport, buffers, now } = options;
    this.#outlet = new RecordOutlet({ transport, sendKey: options.keys.sendKey, buffers, now });
    this.#h2 = new H2Server(this, limits);
  }

  /** `greeting` (the handshake's answer) and the server's first frames leave in one write. */
  start(greeting: Uint8Array): void {
    this.#outlet.start(greeting, this.#h2.output, {
      data: (bytes) => this.#received(bytes),
      drain: () => this.flush(),
      closed: () => this.#closed(),
    });
  }

  /** When what waits for the client last became less, or began to wait. */
  get progressAt(): number {
    return this.#outlet.progressAt;
  }
  /** Streams that are open: requests and sessions. */
  get busy(): boolean {
    return this.#streams.size > 0;
  }
  /** Bytes that the windows let out and the socket has not taken. */
  get #unwritten(): number {
    return this.#outlet.length + this.#h2.output.length;
  }
  get hasSession(): boolean {
    for (const state of this.#streams.values()) {
      if (state.kind === "streaming") {
        return true;
      }
    }
    return false;
  }
  /** Something waits for the client to read. */
  get waitsForClient(): boolean {
    if (this.#outlet.full || this.#unwritten > 0) {
      return true;
    }
    for (const state of this.#streams.values()) {
      if (state.kind === "streaming" && state.map.unsent > 0) {
        return true;
      }
    }
    return false;
  }

  // ---- from the client

  #received(bytes: Uint8Array): void {
    if (this.#state !== "open") {
      return;
    }
    this.heardAt = this.#now();
    const fault = this.#reader.push(bytes, (plaintext) => {
      if (this.#state === "open" && this.#h2.push(plaintext, this.heardAt) !== undefined) {
        // The GOAWAY is in the output.
        this.close();
      }
    });
    if (fault !== undefined) {
      this.destroy();
      return;
    }
    if (this.#answering) {
      // Acknowledgements of what brought a request leave with the answer, in one write.
      this.#answering = false;
      this.#owner.patient(this);
    } else {
      this.#markDirty();
    }
  }

  request(stream: number, head: RequestHead): void {
    switch (this.#asking.excess(this.known, this.heardAt)) {
      case "unread":
        this.#owner.overflowed(this);
        return;
      case "flood":
        this.#owner.flooded(this);
        return;
      case undefined:
        break;
    }
    if (this.#state !== "open") {
      return;
    }
    this.proven = true;
    if (!this.known && this.#streams.size >= strangerStreams) {
      this.#refuse(stream, 503, "too many requests at once");
      return;
    }
    const body = new BodyBuffer(this.#owner.bodyBudget(this), maxBody);
    this.#streams.set(stream, { kind: "receiving", head, body, startedAt: this.#now() });
  }

  data(stream: number, slice: Uint8Array): void {
    const state = this.#streams.get(stream);
    if (state?.kind !== "receiving") {
      return;
    }
    switch (state.body.append(slice)) {
      case "ok":
        return;
      case "too-large":
        this.#refuse(stream, 413, "request body too large");
        return;
      case "no-room":
        this.#refuse(stream, 503, "server busy");
        return;
    }
  }

  end(stream: number): void {
    const state = this.#streams.get(stream);
    if (state?.kind !== "receiving") {
      return;
    }
    this.#streams.set(stream, { kind: "waiting" });
    const body = state.body.take();
    this.#answering = true;
    this.#owner.request(this, stream, state.head, body);
  }

  reset(stream: number): void {
    this.#forget(stream);
  }

  writable(stream: number): void {
    const state = this.#streams.get(stream);
    if (state?.kind === "streaming") {
      this.#pump(state.map);
    }
  }

  #refuse(stream: number, status: number, text: string): void {
    this.#asking.answered();
    this.#forget(stream);
    const body = Buffer.from(text);
    this.#h2.finish(stream, replyHead(status, "text/plain; charset=utf-8"), { chunks: [body], length: body.length });
    // The client need not send the rest.
    this.#h2.reset(stream, errorCodes.noError);
    this.#markDirty();
  }

  #forget(stream: number): void {
    const state = this.#streams.get(stream);
    this.#streams.delete(stream);
    switch (state?.kind) {
      case undefined:
        return;
      case "receiving":
        state.body.discard();
        return;
      case "waiting":
        this.#owner.streamGone(this, stream);
        return;
      case "streaming":
        if (this.#lone === state.map) {
          this.#lone = state.map.lone = undefined;
        }
        this.#owner.sessionGone(state.map.session);
        return;
    }
  }

  // ---- to the client

  reply(stream: number, reply: EdgeReply): void {
    if (this.#streams.get(stream)?.kind !== "waiting") {
      return;
    }
    this.#asking.answered();
    this.#streams.delete(stream);
    this.#h2.finish(stream, replyHead(reply.status, reply.contentType, reply.headers), {
      chunks: [reply.body],
      length: reply.body.length,
    });
    this.#markDirty();
  }

  /** What `deliver` takes; undefined when the stream has gone meanwhile. */
  openSession(stream: number, session: SessionId): MapStream | undefined {
    const open = this.#h2.openStreamOf(stream);
    if (open === undefined || this.#streams.get(stream)?.kind !== "waiting") {
      return undefined;
    }
    const map = new MapStream(session, open);
    this.#streams.set(stream, { kind: "streaming", map });
    this.#h2.writeHead(stream, replyHead(200, "application/json"), false);
    this.#markDirty();
    return map;
  }

  /** True when nothing stands in the message's way: it leaves with the next `flush`. `now` is on the connection's clock. */
  deliver(map: MapStream, message: MapMessage, now: number): boolean {
    if (map.ending) {
      return false;
    }
    if (this.#isQuiet && map.unsent === 0 && message.length <= maxAlone) {
      map.lone = message;
      this.#lone = map;
      this.#markDirty();
      return true;
    }
    this.#queueLone();
    const writable = !this.#outlet.full && map.unsent === 0;
    if (!this.waitsForClient) {
      this.#outlet.progressAt = now;
    }
    this.#queue(map, message);
    if (map.unsent + this.#unwritten > cutAbove) {
      this.#owner.overflowed(this);
    } else if (map.becomesBlocked(this.#unwritten)) {
      this.#someBlocked = true;
      this.#owner.blocked(map.session);
    }
    this.#markDirty();
    return writable;
  }

  /** Nothing is on its way to the client. */
  get #isQuiet(): boolean {
    return this.#lone === undefined && !this.#outlet.full && this.#unwritten === 0;
  }

  #queue(map: MapStream, message: MapMessage): void {
    map.push(message);
    this.#pump(map);
  }

  /** What was to leave by itself takes its place among the rest. */
  #queueLone(): void {
    const map = this.#lone;
    const message = map?.lone;
    if (map !== undefined && message !== undefined) {
      this.#lone = map.lone = undefined;
      this.#queue(map, message);
    }
  }

  endSession(map: MapStream): void {
    if (!map.ending) {
      this.#queueLone();
      map.ending = true;
      this.#pump(map);
      this.#markDirty();
    }
  }

  /** Moves as much of what waits as the windows let out into the HTTP/2 output. */
  #pump(map: MapStream): void {
    const stream = map.stream.id;
    if (map.pump(this.#h2) > 0) {
      this.#outlet.progressAt = this.#now();
    }
    if (map.ending && map.unsent === 0) {
      this.#streams.delete(stream);
      this.#h2.finishBody(stream, { chunks: [], length: 0 });
      // The client has more to say on this stream only by mistake.
      this.#h2.reset(stream, errorCodes.noError);
      this.#owner.sessionGone(map.session);
    }
  }

  #markDirty(): void {
    if (!this.#dirty && this.#state !== "closed") {
      this.#dirty = true;
      this.#owner.dirty(this);
    }
  }

  /** Nothing came that the acknowledgements could leave with. */
  settle(): void {
    if (this.#unwritten > 0) {
      this.#markDirty();
    }
  }

  /** Writes as much as the socket takes. */
  flush(): void {
    this.#dirty = false;
    if (this.#state !== "closed" && !this.#flushLone()) {
      this.#afterWrite(this.#outlet.write(this.#h2.output));
    }
  }

  /** A message that is all there is to say leaves by itself: so does nearly every change, to thousands. False otherwise. */
  #flushLone(): boolean {
    const map = this.#lone;
    const message = map?.lone;
    if (map === undefined || message === undefined) {
      return false;
    }
    const quiet = !this.#outlet.full && this.#outlet.length === 0 && this.#state === "open";
    const head = quiet ? this.#h2.frameAround(map.stream, message.length) : undefined;
    if (head === undefined) {
      this.#queueLone();
      return false;
    }
    this.#lone = map.lone = undefined;
    this.#afterWrite(this.#outlet.writeAlone(head, message));
    return true;
  }

  #afterWrite(outcome: WriteOutcome): void {
    switch (outcome) {
      case "full":
        return;
      case "exhausted":
        this.destroy();
        return;
      case "taken":
        this.#asking.read();
        this.#tellDrained();
        if (this.#state === "ending") {
          this.#outlet.end();
        }
        return;
    }
  }

  #tellDrained(): void {
    if (!this.#someBlocked) {
      return;
    }
    this.#someBlocked = false;
    for (const state of this.#streams.values()) {
      if (state.kind === "streaming" && state.map.becomesDrained(this.#unwritten)) {
        this.#owner.drained(state.map.session);
      } else if (state.kind === "streaming" && state.map.blocked) {
        this.#someBlocked = true;
      }
    }
  }

  // ---- its end

  /** Gives up requests whose body began before `before` and has not ended. */
  dropSlowBodies(before: number): void {
    for (const [stream, state] of this.#streams) {
      if (state.kind === "receiving" && state.startedAt < before) {
        this.#refuse(stream, 408, "the request body took too long");
      }
    }
  }

  /** An HTTP/2 ping: any answer shows in `heardAt`. */
  ping(): void {
    this.#h2.output.add(pingFrame);
    this.#markDirty();
  }

  /** No further requests are taken; the socket ends when all is written. */
  close(): void {
    if (this.#state !== "open") {
      return;
    }
    if (this.#h2.fault === undefined) {
      this.#h2.goaway(errorCodes.noError);
    }
    this.#state = "ending";
    for (const stream of this.#streams.keys()) {
      this.#forget(stream);
    }
    this.#markDirty();
  }

  destroy(): void {
    this.#outlet.destroy();
    this.#closed();
  }

  #closed(): void {
    if (this.#state === "closed") {
      return;
    }
    this.#state = "closed";
    for (const stream of this.#streams.keys()) {
      this.#forget(stream);
    }
    this.#outlet.clear();
    this.#owner.closed(this);
  }
}

/** PING, eight zero bytes (RFC 9113 §6.7). */
const pingFrame: Uint8Array = Buffer.from("0000080600000000000000000000000000", "hex");
