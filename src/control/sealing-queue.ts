// What a connection has still to write, as references to bytes that others share; sealed into records piece by piece, as
// the socket takes them. Only what is sealed costs memory of its own.
import type { ChunkList, Chunks } from "../wire/h2-output.ts";
import { RecordWriter, sealedLength } from "../wire/record.ts";

export class SealingQueue {
  readonly #writer: RecordWriter;
  readonly #chunks: Uint8Array[] = [];
  #length = 0;

  constructor(key: Uint8Array) {
    this.#writer = new RecordWriter(key);
  }

  /** Bytes not sealed yet. */
  get length(): number {
    return this.#length;
  }

  /** Moves everything out of `output`. */
  take(output: ChunkList): void {
    for (const chunk of output.chunks) {
      this.#chunks.push(chunk);
    }
    this.#length += output.length;
    output.clear();
  }

  /**
   * At most `limit` bytes as records, at the start of `into` or in a buffer of their own; undefined when there are none,
   * empty when the key is exhausted.
   */
  seal(limit: number, into?: Buffer): Buffer | undefined {
    if (this.#length === 0) {
      return undefined;
    }
    const length = Math.min(this.#length, limit);
    const out = into ?? Buffer.allocUnsafe(sealedLength(length));
    let end: number | undefined;
    if (length === this.#length) {
      // Nearly always: nothing is left behind, nothing is copied.
      end = this.#writer.sealInto(this.#chunks, length, out, 0);
      this.clear();
    } else {
      end = this.#writer.sealInto(this.#next(length), length, out, 0);
    }
    if (end === undefined) {
      return Buffer.alloc(0);
    }
    return end === out.length ? out : out.subarray(0, end);
  }

  /**
   * `head` and the message as one record in `into`, past the queue, which is empty. False when the key is exhausted.
   */
  sealShared(head: Uint8Array, { chunks, length }: Chunks, into: Buffer): boolean {
    return this.#writer.sealShared(head, chunks, head.length + length, into);
  }

  /** Takes the first `length` bytes out of the queue. */
  #next(length: number): readonly Uint8Array[] {
    let count = 0;
    let reached = 0;
    while (reached < length) {
      reached += this.#chunks[count]?.length ?? 0;
      count++;
    }
    const chunks = this.#chunks.splice(0, count);
    const last = chunks[count - 1];
    if (last !== undefined && reached > length) {
      const keep = last.length - (reached - length);
      chunks[count - 1] = last.subarray(0, keep);
      this.#chunks.unshift(last.subarray(keep));
    }
    this.#length -= length;
    return chunks;
  }

  clear(): void {
    this.#chunks.length = 0;
    this.#length = 0;
  }
}
