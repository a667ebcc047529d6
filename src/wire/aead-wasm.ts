// libsodium's ChaCha20-Poly1305 called on its own heap: key, nonce and text go into one block allocated for good, so a
// record costs two copies and no garbage. The wrapper's public functions would allocate and free four times a call.
import sodium, { ready as compiled } from "libsodium-wrappers";
import { type Aead, createStage, keyLength, materialLength, stageLimit, tagLength } from "./aead.ts";

/** Largest associated data: a hash. */
const dataLimit = 64;
/** Largest text this implementation takes. */
export const wasmTextLimit = stageLimit;

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
  const keyAt = allocate(materialLength + dataLimit + wasmTextLimit + tagLength + stageLimit);
  const nonceAt = keyAt + keyLength;
  const dataAt = keyAt + materialLength;
  const textAt = dataAt + dataLimit;
  /** Of a text of the largest length; others end before. */
  const stageAt = textAt + wasmTextLimit + tagLength;
  const stage = createStage();

  function load(material: Uint8Array, length: number, data: Uint8Array | undefined): Uint8Array {
    if (length > wasmTextLimit || material.length !== materialLength) {
      throw new RangeError(`the WASM cipher takes up to ${wasmTextLimit} bytes, not ${length}`);
    }
    const memory = heap.HEAPU8;
    memory.set(material, keyAt);
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
    seal(material, buffer, start, length, data) {
      const memory = load(material, length, data);
      memory.set(part(buffer, start, length), textAt);
      // (c, tag, tagLength*, m, length as two 32-bit halves, associated data as pointer and two halves, nsec, nonce, key)
      encrypt(textAt, textAt + length, 0, textAt, length, 0, dataAt, data?.length ?? 0, 0, 0, nonceAt, keyAt);
      buffer.set(part(memory, textAt, length + tagLength), start);
    },
    open(material, buffer, start, length, data) {
      const memory = load(material, length, data);
      const tagAt = textAt + length;
      memory.set(part(buffer, start, length + tagLength), textAt);
      // (m, nsec, c, length as two halves, tag, associated data as pointer and two halves, nonce, key)
      const status = decrypt(textAt, 0, textAt, length, 0, tagAt, dataAt, data?.length ?? 0, 0, nonceAt, keyAt);
      if (status !== 0) {
        return false;
      }
      buffer.set(part(memory, textAt, length), start);
      return true;
    },
    stage: (head, chunks) => stage.write(heap.HEAPU8, stageAt, head, chunks),
    sealStaged(material, out, at) {
      const { length } = stage;
      const memory = load(material, length, undefined);
      encrypt(textAt, textAt + length, 0, stageAt, length, 0, dataAt, 0, 0, 0, nonceAt, keyAt);
      out.set(part(memory, textAt, length + tagLength), at);
    },
  };
}

/** A view, as `subarray` gives one, but never a Buffer, whose making costs more than the copy it is for. */
function part(bytes: Uint8Array, start: number, length: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, length);
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
