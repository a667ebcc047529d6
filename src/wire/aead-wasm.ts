// libsodium's ChaCha20-Poly1305 called on its own heap: key, nonce and text go into one block allocated for good, so a
// record costs two copies and no garbage. The wrapper's public functions would allocate and free four times a call.
import sodium, { ready as compiled } from "libsodium-wrappers";
import { tagLength, type Aead } from "./aead.ts";

const keyLength = 32;
const nonceLength = 12;
/** Largest associated data: a hash. */
const dataLimit = 64;
/** Largest text this implementation takes: a record's plaintext (protocol §2.5) rounded up. */
export const wasmTextLimit = 4096;

/** The parts of libsodium's emscripten module that are called here; the typings do not know them. */
interface SodiumHeap {
  /** Replaced when the heap grows, so it is read anew for each call. */
  readonly HEAPU8: Uint8Array;
  readonly _malloc: (size: number) => number;
  readonly _crypto_aead_chacha20poly1305_ietf_encrypt_detached: (...pointers: readonly number[]) => number;
  readonly _crypto_aead_chacha20poly1305_ietf_decrypt_detached: (...pointers: readonly number[]) => number;
}

function sodiumHeap(module: object): SodiumHeap | undefined {
  const candidate: unknown = "libsodium" in module ? module.libsodium : undefined;
  const complete =
    typeof candidate === "object" &&
    candidate !== null &&
    "HEAPU8" in candidate &&
    candidate.HEAPU8 instanceof Uint8Array &&
    "_malloc" in candidate &&
    "_crypto_aead_chacha20poly1305_ietf_encrypt_detached" in candidate &&
    "_crypto_aead_chacha20poly1305_ietf_decrypt_detached" in candidate;
  return complete ? (candidate as SodiumHeap) : undefined;
}

function aeadOn(heap: SodiumHeap): Aead {
  const {
    _malloc: allocate,
    _crypto_aead_chacha20poly1305_ietf_encrypt_detached: encrypt,
    _crypto_aead_chacha20poly1305_ietf_decrypt_detached: decrypt,
  } = heap;
  const keyAt = allocate(keyLength + nonceLength + tagLength + dataLimit + wasmTextLimit);
  const nonceAt = keyAt + keyLength;
  const tagAt = nonceAt + nonceLength;
  const dataAt = tagAt + tagLength;
  const textAt = dataAt + dataLimit;

  function load(key: Uint8Array, nonce: Uint8Array, length: number, data: Uint8Array | undefined): Uint8Array {
    if (length > wasmTextLimit || key.length !== keyLength || nonce.length !== nonceLength) {
      throw new RangeError(`the WASM cipher takes up to ${wasmTextLimit} bytes, not ${length}`);
    }
    const memory = heap.HEAPU8;
    memory.set(key, keyAt);
    memory.set(nonce, nonceAt);
    if (data !== undefined) {
      if (data.length > dataLimit) {
        throw new RangeError(`the WASM cipher takes up to ${dataLimit} bytes of associated data, not ${data.length}`);
      }
      memory.set(data, dataAt);
    }
    return memory;
  }

  return {
    name: "libsodium",
    seal(key, nonce, buffer, start, length, data) {
      const memory = load(key, nonce, length, data);
      memory.set(buffer.subarray(start, start + length), textAt);
      // (c, tag, tagLength*, m, length as two 32-bit halves, associated data as pointer and two halves, nsec, nonce, key)
      encrypt(textAt, tagAt, 0, textAt, length, 0, dataAt, data?.length ?? 0, 0, 0, nonceAt, keyAt);
      buffer.set(memory.subarray(textAt, textAt + length), start);
      buffer.set(memory.subarray(tagAt, tagAt + tagLength), start + length);
    },
    open(key, nonce, buffer, start, length, data) {
      const memory = load(key, nonce, length, data);
      memory.set(buffer.subarray(start, start + length), textAt);
      memory.set(buffer.subarray(start + length, start + length + tagLength), tagAt);
      // (m, nsec, c, length as two halves, tag, associated data as pointer and two halves, nonce, key)
      const status = decrypt(textAt, 0, textAt, length, 0, tagAt, dataAt, data?.length ?? 0, 0, nonceAt, keyAt);
      if (status !== 0) {
        return false;
      }
      buffer.set(memory.subarray(textAt, textAt + length), start);
      return true;
    },
  };
}

let implementation: Aead | undefined;

/** Settles when the WASM is compiled, some milliseconds after the start. Nobody has to wait for it. */
export const wasmReady: Promise<void> = compiled.then(() => {
  const heap = sodiumHeap(sodium);
  implementation = heap === undefined ? undefined : aeadOn(heap);
});

/** The implementation, or undefined while it is being compiled. */
export function wasmAead(): Aead | undefined {
  return implementation;
}
