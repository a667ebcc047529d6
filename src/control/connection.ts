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
import { BodyBuffer, type BodyBudget } from "./body-buffer.ts";
import type { EdgeReply } from "./edge-link.ts";
import { MapStream } from "./map-stream.ts";
import { replyHead } from "./reply-head.ts";
import { pooledFrom, type SealBuffers, sealStep } from "./seal-buffers.ts";
import { SealingQueue } from "./sealing-queue.ts";
import type { Transport } from "./transport.ts";

/** Largest request body. */
export const maxBody = 1024 * 1024;
/** Unsent bytes that no well-behaved client can cause. */
const cutAbove = 64 * 1024 * 1024;

const limits = { ...defaultLimits, streams: 128 };
/** Requests under way at once of a machine that belongs to no node; it has a login to wait for and little else. */
const strangerStreams = 16;
/** Answers that a client may leave unread and yet ask on. Each costs far more here than its question did there. */
export const mostUnread = { stranger: 64, node: 4096 } as const;
/**
 * Requests of a machine that belongs to no node, in so many milliseconds: a login takes three. With more it has to shake
 * hands again, where it waits in line.
 */
export const mostAsked = { requests: 256, withinMs: 10_000 } as const;

/** What the owner of connections is told. */
export interface ConnectionOwner {
  request(connection: Connection, stream: number, head: RequestHead, body: Uint8Array): void;
  /** The client took back a request that was handed up, or its connection ended. */
  streamGone(connection: Connection, stream: number): void;
  sessionGone(session: SessionId): void;
  blocked(session: SessionId): void;
  drained(session: SessionId): void;
  /** The client left more unread than it may; the connection is to be destroyed. */
  overflowed(connection: Connection): void;
  /** A stranger asks more often than it may; the connection is to be destroyed. */
  flooded(connection: Connection): void;
  /** There is something to write; `flush` is to be called soon. */
  dirty(connection: Connection): void;
  /** There is something to write that may wait some milliseconds for what follows it. */
  patient(connection: Connection): void;
  closed(connection: Connection): void;
  /** Who pays for the memory of a request's body. */
  bodyBudget(connection: Connection): BodyBudget;
}

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
  /** When what waits for the client last became less, or began to wait. */
  progressAt: number;
  /** A request has come, so the client holds the keys it claims. */
  proven = false;
  readonly #transport: Transport;
  readonly #owner: ConnectionOwner;
  readonly #now: () => number;
  readonly #buffers: SealBuffers;
  readonly #reader: RecordReader;
  readonly #output: SealingQueue;
  readonly #h2: H2Server;
  readonly #streams = new Map<number, StreamState>();
  #full = false;
  /** Answers since the socket last took all there was. */
  #unread = 0;
  /** Requests of a stranger since then. */
  #asked = 0;
  #askedSince = 0;
  #dirty = false;
  /** A request came up whole in the bytes under way. */
  #answering = false;
  #state: "open" | "ending" | "closed" = "open";

  constructor(options: ConnectionOptions) {
    this.machineKey = options.machineKey;
    this.capVersion = options.capVersion;
    this.source = options.source;
    this.#transport = options.transport;
    this.#owner = options.owner;
    this.#now = options.now;
    this.#buffers = options.buffers;
    this.openedAt = this.heardAt = this.progressAt = options.now();
    this.#reader = new RecordReader(options.keys.receiveKey);
    this.#output = new SealingQueue(options.keys.sendKey);
    this.#h2 = new H2Server(this, limits);
  }

  /** `greeting` (the handshake's answer) and the server's first frames leave in one write. */
  start(greeting: Uint8Array): void {
    this.#output.take(this.#h2.output);
    const first = this.#output.seal(sealStep);
    this.#transport.write(first === undefined ? greeting : Buffer.concat([greeting, first]));
    this.#transport.start({
      data: (bytes) => this.#received(bytes),
      drain: () => {
        this.#full = false;
        this.flush();
      },
      closed: () => this.#closed(),
    });
  }

  /** Streams that are open: requests and sessions. */
  get busy(): boolean {
    return this.#streams.size > 0;
  }
  /** Bytes that the windows let out and the socket has not taken. */
  get #unwritten(): number {
    return this.#output.length + this.#h2.output.length;
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
    if (this.#full || this.#unwritten > 0) {
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
    if (this.#unread > (this.known ? mostUnread.node : mostUnread.stranger)) {
      this.#owner.overflowed(this);
    } else if (!this.known && this.#asksTooOften()) {
      this.#owner.flooded(this);
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

  #asksTooOften(): boolean {
    if (this.heardAt - this.#askedSince >= mostAsked.withinMs) {
      this.#askedSince = this.heardAt;
      this.#asked = 0;
    }
    this.#asked++;
    return this.#asked > mostAsked.requests;
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
      this.#pump(stream, state.map);
    }
  }

  #refuse(stream: number, status: number, text: string): void {
    this.#unread++;
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
        this.#owner.sessionGone(state.map.session);
        return;
    }
  }

  // ---- to the client

  reply(stream: number, reply: EdgeReply): void {
    if (this.#streams.get(stream)?.kind !== "waiting") {
      return;
    }
    this.#unread++;
    this.#streams.delete(stream);
    this.#h2.finish(stream, replyHead(reply.status, reply.contentType, reply.headers), {
      chunks: [reply.body],
      length: reply.body.length,
    });
    this.#markDirty();
  }

  /** False when the stream has gone meanwhile. */
  openSession(stream: number, session: SessionId): boolean {
    if (this.#streams.get(stream)?.kind !== "waiting") {
      return false;
    }
    this.#streams.set(stream, { kind: "streaming", map: new MapStream(session) });
    this.#h2.writeHead(stream, replyHead(200, "application/json"), false);
    this.#markDirty();
    return true;
  }

  /** True when nothing stands in the message's way: it leaves with the next `flush`. */
  deliver(stream: number, message: MapMessage): boolean {
    const state = this.#streams.get(stream);
    if (state?.kind !== "streaming" || state.map.ending) {
      return false;
    }
    const { map } = state;
    const writable = !this.#full && map.unsent === 0;
    if (!this.waitsForClient) {
      this.progressAt = this.#now();
    }
    map.push(message);
    this.#pump(stream, map);
    if (map.unsent + this.#unwritten > cutAbove) {
      this.#owner.overflowed(this);
    } else if (map.becomesBlocked(this.#unwritten)) {
      this.#owner.blocked(map.session);
    }
    this.#markDirty();
    return writable;
  }

  endSession(stream: number): void {
    const state = this.#streams.get(stream);
    if (state?.kind === "streaming" && !state.map.ending) {
      state.map.ending = true;
      this.#pump(stream, state.map);
      this.#markDirty();
    }
  }

  /** Moves as much of what waits as the windows let out into the HTTP/2 output. */
  #pump(stream: number, map: MapStream): void {
    if (map.pump(this.#h2, stream) > 0) {
      this.progressAt = this.#now();
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

  /** Seals and writes as much as the socket takes. */
  flush(): void {
    this.#dirty = false;
    if (this.#state === "closed") {
      return;
    }
    this.#output.take(this.#h2.output);
    while (!this.#full) {
      const pooled = this.#output.length >= pooledFrom ? this.#buffers.take() : undefined;
      const sealed = this.#output.seal(sealStep, pooled);
      if (sealed === undefined) {
        break;
      }
      if (sealed.length === 0) {
        this.destroy();
        return;
      }
      this.#full = !this.#transport.write(
        sealed,
        pooled === undefined ? undefined : () => this.#buffers.giveBack(pooled),
      );
      this.progressAt = this.#now();
    }
    if (!this.#full) {
      this.#unread = 0;
      this.#tellDrained();
      if (this.#state === "ending") {
        this.#transport.end();
      }
    }
  }

  #tellDrained(): void {
    for (const state of this.#streams.values()) {
      if (state.kind === "streaming" && state.map.becomesDrained(this.#unwritten)) {
        this.#owner.drained(state.map.session);
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
    this.#transport.destroy();
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
    this.#output.clear();
    this.#owner.closed(this);
  }
}

/** PING, eight zero bytes (RFC 9113 §6.7). */
const pingFrame: Uint8Array = Buffer.from("0000080600000000000000000000000000", "hex");
