// Records: the encrypted frames after the handshake, `u8 0x04, u16 BE length, ciphertext` (protocol §2.5).
// The writer gathers many small pieces into few full records in one buffer, ready for one socket write; the reader
// takes what the socket brings in any pieces, decrypts in place and hands out slices without copying.
// Any fault is final: the connection must be closed.
import { frameType } from "./noise.ts";
import { tagLength } from "./aead.ts";
import { DirectionKey } from "./seal.ts";

const headerLength = 3;
/** Largest frame with its header. */
export const maxFrameLength = 4096;
const maxCiphertextLength = maxFrameLength - headerLength; // 4093
/** Largest plaintext of one record. */
export const maxPlaintextLength = maxCiphertextLength - tagLength; // 4077
const overhead = headerLength + tagLength;

/** Bytes on the wire of `length` bytes of plaintext. */
export function sealedLength(length: number): number {
  return length + Math.ceil(length / maxPlaintextLength) * overhead;
}

export class RecordWriter {
  readonly #key: DirectionKey;

  constructor(key: Uint8Array | DirectionKey) {
    this.#key = key instanceof DirectionKey ? key : new DirectionKey(key);
  }

  /**
   * Seals the concatenation of `chunks`, `length` bytes in all, into one new buffer. Undefined when the key is
   * exhausted. `chunks` are only read.
   */
  seal(chunks: readonly Uint8Array[], length: number): Buffer | undefined {
    const out = Buffer.allocUnsafe(sealedLength(length));
    return this.sealInto(chunks, length, out, 0) === undefined ? undefined : out;
  }

  /**
   * The same into `out` from `at` on, where sealedLength(length) bytes must be free. Returns where the next byte would
   * go, or undefined when the key is exhausted.
   */
  sealInto(chunks: readonly Uint8Array[], length: number, out: Uint8Array, at: number): number | undefined {
    let chunkIndex = 0;
    let chunkAt = 0;
    let left = length;
    let position = at;
    while (left > 0) {
      const plain = Math.min(left, maxPlaintextLength);
      const end = position + headerLength + plain;
      let fill = position + headerLength;
      while (fill < end) {
        const chunk = chunks[chunkIndex];
        if (chunk === undefined) {
          throw new RangeError(`the chunks hold fewer than ${length} bytes`);
        }
        const count = Math.min(chunk.length - chunkAt, end - fill);
        out.set(chunkAt === 0 && count === chunk.length ? chunk : chunk.subarray(chunkAt, chunkAt + count), fill);
        fill += count;
        chunkAt += count;
        if (chunkAt === chunk.length) {
          chunkIndex++;
          chunkAt = 0;
        }
      }
      writeHeader(out, position, plain);
      if (this.#key.seal(out, position + headerLength, plain) !== "ok") {
        return undefined;
      }
      position = end + tagLength;
      left -= plain;
    }
    return position;
  }

  /**
   * Seals `head` and `chunks`, `length` bytes in all and at most `maxPlaintextLength`, as one record at the start of `out`.
   * Meant for what many connections say alike: the same two are laid out for the cipher only once. False when the key is
   * exhausted.
   */
  sealShared(head: Uint8Array, chunks: readonly Uint8Array[], length: number, out: Uint8Array): boolean {
    writeHeader(out, 0, length);
    return this.#key.sealShared(head, chunks, length, out, headerLength) === "ok";
  }
}

function writeHeader(out: Uint8Array, at: number, length: number): void {
  const ciphertext = length + tagLength;
  out[at] = frameType.record;
  out[at + 1] = ciphertext >> 8;
  out[at + 2] = ciphertext & 0xff;
}

/** Why a stream of records cannot go on. */
export type RecordFault = "bad-type" | "bad-length" | "forged" | "exhausted";

export class RecordReader {
  readonly #key: DirectionKey;
  /** The start of a frame whose rest has not come; there is a buffer only while there is one. */
  #partial: Uint8Array | undefined;
  #partialLength = 0;
  #fault: RecordFault | undefined;

  constructor(key: Uint8Array | DirectionKey) {
    this.#key = key instanceof DirectionKey ? key : new DirectionKey(key);
  }

  /**
   * Takes the next bytes from the socket, which belong to the reader from now on: it decrypts in place. `sink` gets
   * each record's plaintext in order, as slices of those bytes. Returns the fault that ended the stream, if any; what
   * stood before the fault has been handed out.
   */
  push(chunk: Uint8Array, sink: (plaintext: Uint8Array) => void): RecordFault | undefined {
    let at = 0;
    while (this.#fault === undefined && at < chunk.length) {
      if (this.#partial !== undefined) {
        at += this.#complete(chunk, at, sink);
        continue;
      }
      const total = this.#frameLength(chunk, at, chunk.length - at);
      if (total === undefined || at + total > chunk.length) {
        this.#keep(chunk, at);
        break;
      }
      this.#open(chunk, at, total, sink);
      at += total;
    }
    return this.#fault;
  }

  /** Bytes of an unfinished frame being held. */
  get pending(): number {
    return this.#partialLength;
  }

  /** The frame's whole length; undefined while its header is not complete. Notes a fault in the header. */
  #frameLength(bytes: Uint8Array, at: number, available: number): number | undefined {
    if (available >= 1 && bytes[at] !== frameType.record) {
      this.#fault = "bad-type";
    }
    if (available < headerLength) {
      return undefined;
    }
    const ciphertext = ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    if (this.#fault === undefined && (ciphertext < tagLength || ciphertext > maxCiphertextLength)) {
      this.#fault = "bad-length";
    }
    return headerLength + ciphertext;
  }

  #keep(chunk: Uint8Array, at: number): void {
    if (this.#fault === undefined) {
      // A copy, for the chunk may be 64 KiB of which three bytes are wanted.
      this.#partial = new Uint8Array(maxFrameLength);
      this.#partial.set(chunk.subarray(at));
      this.#partialLength = chunk.length - at;
    }
  }

  /** Moves bytes from the chunk to the unfinished frame; returns how many it took. */
  #complete(chunk: Uint8Array, at: number, sink: (plaintext: Uint8Array) => void): number {
    const partial = this.#partial ?? new Uint8Array(maxFrameLength);
    const known = this.#frameLength(partial, 0, this.#partialLength);
    const wanted = (known ?? headerLength) - this.#partialLength;
    const count = Math.min(wanted, chunk.length - at);
    partial.set(chunk.subarray(at, at + count), this.#partialLength);
    this.#partialLength += count;
    const total = this.#frameLength(partial, 0, this.#partialLength);
    if (this.#fault === undefined && total !== undefined && this.#partialLength === total) {
      this.#partial = undefined;
      this.#partialLength = 0;
      this.#open(partial, 0, total, sink);
    }
    return count;
  }

  #open(bytes: Uint8Array, at: number, total: number, sink: (plaintext: Uint8Array) => void): void {
    if (this.#fault !== undefined) {
      return;
    }
    const start = at + headerLength;
    const length = total - headerLength - tagLength;
    const outcome = this.#key.open(bytes, start, length);
    if (outcome !== "ok") {
      this.#fault = outcome;
    } else if (length > 0) {
      sink(bytes.subarray(start, start + length));
    }
  }
}
