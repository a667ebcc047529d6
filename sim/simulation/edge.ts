// An edge without sockets: requests take their time, streams have a bound above which the session is blocked, clients
// read at their own pace, and a cut loses what was on its way.
import type { EdgeEvents, EdgeLink, EdgeReply, RequestId } from "../../src/control/edge-link.ts";
import type { MapMessage, SessionId } from "../../src/netmap/contract.ts";
import type { MachineKey } from "../../src/wire/ids.ts";
import type { Random } from "./random.ts";
import type { SimulatedTime } from "./time.ts";

/** Unread bytes above which a session counts as blocked. */
const streamBound = 20_000;

export interface StreamReader {
  message(message: MapMessage): void;
  ended(): void;
}

interface Stream {
  readonly reader: StreamReader;
  readonly queue: MapMessage[];
  unread: number;
  blocked: boolean;
  reading: boolean;
  /** Ends when the queue is empty. */
  ending: boolean;
  over: boolean;
  /** How long the reader takes for a message, ms. */
  pace: () => number;
}

type Waiting =
  | { readonly kind: "reply"; readonly done: (reply: EdgeReply | undefined) => void }
  | {
      readonly kind: "stream";
      readonly reader: StreamReader;
      readonly pace: () => number;
      readonly opened: (session: SessionId | undefined) => void;
    };

export class SimulatedEdge implements EdgeLink {
  readonly #time: SimulatedTime;
  readonly #random: Random;
  readonly #waiting = new Map<RequestId, Waiting>();
  readonly #streams = new Map<SessionId, Stream>();
  #events: EdgeEvents | undefined;
  #nextRequest = 1;

  constructor(time: SimulatedTime, random: Random) {
    this.#time = time;
    this.#random = random;
  }

  /** The server that requests go to from now on. */
  connect(events: EdgeEvents): void {
    this.#events = events;
  }

  /** The server died: every request and stream ends for the clients, nothing is said to it. */
  serverDied(): void {
    this.#events = undefined;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const one of waiting) {
      if (one.kind === "reply") {
        one.done(undefined);
      } else {
        one.opened(undefined);
      }
    }
    for (const stream of streams) {
      stream.over = true;
      stream.reader.ended();
    }
  }

  /** Undefined when the connection broke before the answer. */
  post(machineKey: MachineKey, path: string, body: unknown): Promise<EdgeReply | undefined> {
    return new Promise((done) => this.#send(machineKey, path, body, { kind: "reply", done }));
  }

  /** Opens a map stream; the session, or undefined when it was refused. */
  stream(
    machineKey: MachineKey,
    body: unknown,
    reader: StreamReader,
    pace: () => number,
  ): Promise<SessionId | undefined> {
    return new Promise((opened) =>
      this.#send(machineKey, "/machine/map", body, { kind: "stream", reader, pace, opened }),
    );
  }

  /** The client's side of the stream breaks; what it had not read is lost. */
  cut(session: SessionId): void {
    const stream = this.#streams.get(session);
    if (stream !== undefined) {
      this.#finish(session, stream);
    }
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  #send(machineKey: MachineKey, path: string, body: unknown, waiting: Waiting): void {
    const id = this.#nextRequest as RequestId;
    this.#nextRequest += 1;
    this.#waiting.set(id, waiting);
    this.#time.after(this.#random.below(40), () => {
      if (this.#events === undefined) {
        this.#waiting.delete(id);
        this.#refuse(waiting);
        return;
      }
      this.#events.request({
        id,
        machineKey,
        capVersion: 142,
        source: "198.51.100.7",
        method: "POST",
        path,
        body: Buffer.from(JSON.stringify(body)),
      });
    });
  }

  #refuse(waiting: Waiting): void {
    if (waiting.kind === "reply") {
      waiting.done(undefined);
    } else {
      waiting.opened(undefined);
    }
  }

  reply(id: RequestId, reply: EdgeReply): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (waiting?.kind === "reply") {
      this.#time.after(this.#random.below(40), () => waiting.done(reply));
    } else if (waiting !== undefined) {
      waiting.opened(undefined);
    }
  }

  openStream(id: RequestId, session: SessionId): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (waiting?.kind !== "stream") {
      // The client is gone.
      this.#time.after(0, () => this.#events?.closed(session));
      return;
    }
    this.#streams.set(session, {
      reader: waiting.reader,
      queue: [],
      unread: 0,
      blocked: false,
      reading: false,
      ending: false,
      over: false,
      pace: waiting.pace,
    });
    waiting.opened(session);
  }

  deliver(message: MapMessage, sessions: readonly SessionId[]): void {
    for (const session of sessions) {
      const stream = this.#streams.get(session);
      if (stream === undefined) {
        continue;
      }
      stream.queue.push(message);
      stream.unread += message.length;
      if (stream.unread > streamBound && !stream.blocked) {
        stream.blocked = true;
        // As from a socket: the core hears of it in the same turn.
        this.#events?.blocked(session);
      }
      this.#read(session, stream);
    }
  }

  end(session: SessionId): void {
    const stream = this.#streams.get(session);
    if (stream !== undefined) {
      stream.ending = true;
      this.#read(session, stream);
    }
  }

  #read(session: SessionId, stream: Stream): void {
    if (stream.reading || stream.over) {
      return;
    }
    stream.reading = true;
    this.#time.after(stream.pace(), () => {
      stream.reading = false;
      if (stream.over) {
        return;
      }
      const message = stream.queue.shift();
      if (message !== undefined) {
        stream.unread -= message.length;
        stream.reader.message(message);
      }
      if (stream.queue.length > 0) {
        this.#read(session, stream);
      } else if (stream.ending) {
        this.#finish(session, stream);
        return;
      }
      if (stream.blocked && stream.unread < streamBound / 2) {
        stream.blocked = false;
        this.#events?.drained(session);
      }
    });
  }

  #finish(session: SessionId, stream: Stream): void {
    stream.over = true;
    this.#streams.delete(session);
    stream.reader.ended();
    this.#events?.closed(session);
  }
}
