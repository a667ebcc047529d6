// The bytes a connection wants to write: a list of chunks, most of them shared with other connections, that the owner
// seals or writes in one go. Chunks are never changed once they are in the list.

/** Several chunks as one run of bytes. */
export interface Chunks {
  readonly chunks: readonly Uint8Array[];
  /** Sum of the chunks' lengths. */
  readonly length: number;
}

export class ChunkList implements Chunks {
  readonly chunks: Uint8Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  add(chunk: Uint8Array): void {
    this.chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** Adds `count` bytes of `source` from offset `from` on, without copying. */
  addRange(source: Chunks, from: number, count: number): void {
    let skip = from;
    let left = count;
    for (const chunk of source.chunks) {
      if (left === 0) {
        return;
      }
      if (skip >= chunk.length) {
        skip -= chunk.length;
        continue;
      }
      const end = Math.min(chunk.length, skip + left);
      this.add(skip === 0 && end === chunk.length ? chunk : chunk.subarray(skip, end));
      left -= end - skip;
      skip = 0;
    }
  }

  clear(): void {
    this.chunks.length = 0;
    this.#length = 0;
  }
}
