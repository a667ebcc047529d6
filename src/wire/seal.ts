// ChaCha20-Poly1305 for records, one key per direction (protocol §2.5): nonce = four zero bytes and a 64-bit counter,
// BIG-endian where Noise says little-endian, starting at 0; no associated data. Everything happens in the caller's
// buffer. A direction holds 44 bytes and no native handle, so that tens of thousands of idle sessions stay cheap.
import { keyLength, materialLength, nodeAead, type Aead } from "./aead.ts";
import { wasmAead, wasmTextLimit } from "./aead-wasm.ts";

/**
 * The cheapest implementation for a text of `length` bytes, which is WASM once it has been compiled. At 4,077 bytes
 * node:crypto is quicker by itself (7.4 against 10.4 µs; 300 bytes 5.0 against 1.2 µs; x86-64, Node 26), but each of its
 * calls leaves a native context and a buffer to the garbage collector: after a thousand nodes came back three times at
 * once that was 60 MB of resident memory, and collecting it cost what the quicker calls had saved.
 */
export function aeadFor(length: number): Aead {
  return length <= wasmTextLimit ? (wasmAead() ?? nodeAead) : nodeAead;
}

/** Where the counter stands in a direction's 44 bytes: behind the key and four zero bytes. */
const counterStart = keyLength + 4;

/** Counts one up, big-endian. The last value, 2^64−1, is never reached by counting. */
function advance(material: Uint8Array): void {
  for (let index = materialLength - 1; index >= counterStart; index--) {
    const next = ((material[index] ?? 0) + 1) & 0xff;
    material[index] = next;
    if (next !== 0) {
      return;
    }
  }
}

/** The counter stands at its last value, 2^64−1, which must never be used. */
function isExhausted(material: Uint8Array): boolean {
  for (let index = counterStart; index < materialLength; index++) {
    if (material[index] !== 0xff) {
      return false;
    }
  }
  return true;
}

export type SealOutcome = "ok" | "exhausted";
export type OpenOutcome = "ok" | "forged" | "exhausted";

/** One direction of a session. After anything but "ok" it is dead and so is the connection: there is no rekeying. */
export class DirectionKey {
  /** Key and nonce in one piece: what is touched for each of ten thousand records is what they cost. */
  readonly #material = new Uint8Array(materialLength);
  readonly #aead: Aead | undefined;

  /** `key` is 32 bytes. `startAt` and a fixed `aead` are for tests. */
  constructor(key: Uint8Array, startAt = 0n, aead?: Aead) {
    if (key.length !== keyLength) {
      throw new RangeError(`a key has ${keyLength} bytes, not ${key.length}`);
    }
    this.#material.set(key);
    this.#aead = aead;
    if (startAt !== 0n) {
      // Not done for nothing: an array whose `buffer` has been asked for takes three times the memory.
      new DataView(this.#material.buffer).setBigUint64(counterStart, startAt);
    }
  }

  /** Encrypts `buffer[start, start+length)` in place and writes the 16-byte tag right behind it. */
  seal(buffer: Uint8Array, start: number, length: number): SealOutcome {
    if (isExhausted(this.#material)) {
      return "exhausted";
    }
    (this.#aead ?? aeadFor(length)).seal(this.#material, buffer, start, length);
    advance(this.#material);
    return "ok";
  }

  /**
   * Encrypts `head` and `chunks`, `length` bytes in all, into `out` from `at` on, and writes the tag right behind them.
   * Quicker than `seal` when others have sealed or will seal the very same two.
   */
  sealShared(
    head: Uint8Array,
    chunks: readonly Uint8Array[],
    length: number,
    out: Uint8Array,
    at: number,
  ): SealOutcome {
    if (isExhausted(this.#material)) {
      return "exhausted";
    }
    const aead = this.#aead ?? aeadFor(length);
    if (aead.stage(head, chunks) !== length) {
      throw new RangeError(`the chunks hold other than ${length} bytes`);
    }
    aead.sealStaged(this.#material, out, at);
    advance(this.#material);
    return "ok";
  }

  /** Decrypts `length` bytes from `start` in place; the tag stands right behind them. */
  open(buffer: Uint8Array, start: number, length: number): OpenOutcome {
    if (isExhausted(this.#material)) {
      return "exhausted";
    }
    if (!(this.#aead ?? aeadFor(length)).open(this.#material, buffer, start, length)) {
      return "forged";
    }
    advance(this.#material);
    return "ok";
  }
}
