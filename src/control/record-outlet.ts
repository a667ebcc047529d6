// What a connection writes: HTTP/2's output sealed into records as the socket takes them, and how far the socket has come
// with that.
import type { MapMessage } from "../netmap/contract.ts";
import { frameHeaderLength } from "../wire/h2-frames.ts";
import type { ChunkList } from "../wire/h2-output.ts";
import { maxPlaintextLength, sealedLength } from "../wire/record.ts";
import { pooledFrom, type SealBuffers, sealStep } from "./seal-buffers.ts";
import { SealingQueue } from "./sealing-queue.ts";
import type { Transport, TransportEvents } from "./transport.ts";

/** Longest message that is a record by itself, with the header of its frame. */
export const maxAlone = maxPlaintextLength - frameHeaderLength;

/** "exhausted": the key has sealed all it may, and the connection must end. */
export type WriteOutcome = "taken" | "full" | "exhausted";

export interface OutletOptions {
  readonly transport: Transport;
  readonly sendKey: Uint8Array;
  readonly buffers: SealBuffers;
  /** Milliseconds on a clock that does not go back. */
  readonly now: () => number;
}

export class RecordOutlet {
  /** When what waits for the client last became less, or began to wait. */
  progressAt: number;
  readonly #transport: Transport;
  readonly #queue: SealingQueue;
  readonly #buffers: SealBuffers;
  readonly #now: () => number;
  #full = false;

  constructor({ transport, sendKey, buffers, now }: OutletOptions) {
    this.#transport = transport;
    this.#queue = new SealingQueue(sendKey);
    this.#buffers = buffers;
    this.#now = now;
    this.progressAt = now();
  }

  /** The socket takes no more until it has drained. */
  get full(): boolean {
    return this.#full;
  }
  /** Bytes taken from the output that are not sealed yet. */
  get length(): number {
    return this.#queue.length;
  }

  /** `greeting` leaves in one write with what stands in `output`, before anything else. */
  start(greeting: Uint8Array, output: ChunkList, events: TransportEvents): void {
    this.#queue.take(output);
    const first = this.#queue.seal(sealStep);
    this.#transport.write(first === undefined ? greeting : Buffer.concat([greeting, first]));
    this.#transport.start({
      ...events,
      drain: () => {
        this.#full = false;
        events.drain();
      },
    });
  }

  /** Takes all of `output`, and seals and writes as much as the socket takes. */
  write(output: ChunkList): WriteOutcome {
    this.#queue.take(output);
    while (!this.#full) {
      const pooled = this.#queue.length >= pooledFrom ? this.#buffers.take() : undefined;
      const sealed = this.#queue.seal(sealStep, pooled);
      if (sealed === undefined) {
        return "taken";
      }
      if (sealed.length === 0) {
        return "exhausted";
      }
      this.#full = !this.#transport.write(
        sealed,
        pooled === undefined ? undefined : () => this.#buffers.giveBack(pooled),
      );
      this.progressAt = this.#now();
    }
    return "full";
  }

  /**
   * A frame's header and a message of at most `maxAlone` bytes as one record in one write, while nothing else waits. Where
   * thousands are told the same, it is laid out for the cipher once, and nothing is left to the garbage collector.
   */
  writeAlone(head: Uint8Array, message: MapMessage): WriteOutcome {
    const record = this.#buffers.small(sealedLength(head.length + message.length));
    if (!this.#queue.sealShared(head, message, record)) {
      return "exhausted";
    }
    if (this.#transport.lend(record)) {
      return "taken";
    }
    this.#buffers.loseSmall();
    this.#full = true;
    this.progressAt = this.#now();
    return "full";
  }

  /** After what was written has gone out. */
  end(): void {
    this.#transport.end();
  }

  destroy(): void {
    this.#transport.destroy();
  }

  /** Lets go of what waits. */
  clear(): void {
    this.#queue.clear();
  }
}
