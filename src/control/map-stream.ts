// What one map stream has still to say: references to messages that all sessions share, moved into HTTP/2 as far as the
// windows let them out. Counts what waits, and knows when that is more than a client may leave unread.
import type { MapMessage, SessionId } from "../netmap/contract.ts";
import type { Stream } from "../wire/h2-stream.ts";

/** A session with more unsent bytes is blocked … */
const blockedAbove = 262_144;
/** … until it has fewer than this. */
const drainedBelow = 32_768;

/** Where messages leave: HTTP/2. */
export interface MessageSink {
  /** Takes bytes of a message from an offset on; how many, or -1 when the windows let nothing out. */
  writeData(stream: number, message: MapMessage, from: number, end: boolean): number;
}

export class MapStream {
  readonly session: SessionId;
  readonly stream: Stream;
  /** A message that is to leave by itself, with nothing before it; then the queue is empty. */
  lone: MapMessage | undefined;
  /** No more messages come; the stream ends after those that wait. */
  ending = false;
  readonly #queue: MapMessage[] = [];
  /** Bytes of the first message that have been written. */
  #written = 0;
  #unsent = 0;
  #blocked = false;

  constructor(session: SessionId, stream: Stream) {
    this.session = session;
    this.stream = stream;
  }

  /** Bytes not yet moved into HTTP/2. */
  get unsent(): number {
    return this.#unsent;
  }

  /** More waited than may, and not little enough since. */
  get blocked(): boolean {
    return this.#blocked;
  }

  push(message: MapMessage): void {
    this.#queue.push(message);
    this.#unsent += message.length;
  }

  /** Moves what may leave; how many bytes did. */
  pump(sink: MessageSink): number {
    const stream = this.stream.id;
    let moved = 0;
    for (let message = this.#queue[0]; message !== undefined; message = this.#queue[0]) {
      const taken = sink.writeData(stream, message, this.#written, false);
      if (taken < 0) {
        break;
      }
      moved += taken;
      this.#written += taken;
      this.#unsent -= taken;
      if (this.#written < message.length) {
        break;
      }
      this.#queue.shift();
      this.#written = 0;
    }
    return moved;
  }

  /** True the first time that this and `further` bytes are more than may wait. */
  becomesBlocked(further: number): boolean {
    if (this.#blocked || this.#unsent + further <= blockedAbove) {
      return false;
    }
    this.#blocked = true;
    return true;
  }

  /** True the first time after that that little enough waits. */
  becomesDrained(further: number): boolean {
    if (!this.#blocked || this.#unsent + further >= drainedBelow) {
      return false;
    }
    this.#blocked = false;
    return true;
  }
}
