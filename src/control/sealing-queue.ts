// What a connection has still to write, as references to bytes that others share; sealed into records piece by piece, as
// the socket takes them. Only what is sealed costs memory of its own.
import type { ChunkList } from "../wire/h2-output.ts";
import { RecordWriter } from "../wire/record.ts";

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

  /** At most `limit` bytes as records; undefined when there are none, empty when the key is exhausted. */
  seal(limit: number): Buffer | undefined {
    if (this.#length === 0) {
      return undefined;
    }
    if (this.#length <= limit) {
      const sealed = this.#writer.seal(this.#chunks, this.#length);
      this.clear();
      return sealed ?? Buffer.alloc(0);
    }
    let count = 0;
    let length = 0;
    while (length < limit) {
      length += this.#chunks[count]?.length ?? 0;
      count++;
    }
    const chunks = this.#chunks.splice(0, count);
    const last = chunks[count - 1];
    if (last !== undefined && length > limit) {
      const keep = last.length - (length - limit);
      chunks[count - 1] = last.subarray(0, keep);
      this.#chunks.unshift(last.subarray(keep));
    }
    this.#length -= limit;
    return this.#writer.seal(chunks, limit) ?? Buffer.alloc(0);
  }

  clear(): void {
    this.#chunks.length = 0;
    this.#length = 0;
  }
}
