// The record cipher (ChaCha20-Poly1305, RFC 8439, no associated data) behind one interface with several implementations,
// because what costs is the call, not the cipher: libsodium's WASM wins for small records, node:crypto for large ones.
// All work in the caller's buffer, hold no state and no native handle per key.
import { createCipheriv, createDecipheriv } from "node:crypto";

/** Bytes the tag adds behind a sealed text. */
export const tagLength = 16;

/** The raw cipher, in place: `buffer[start, start+length)` is the text, its tag stands or is written right behind. */
export interface Aead {
  readonly name: string;
  seal(key: Uint8Array, nonce: Uint8Array, buffer: Uint8Array, start: number, length: number): void;
  /** False, with the buffer unchanged, when the tag does not verify. */
  open(key: Uint8Array, nonce: Uint8Array, buffer: Uint8Array, start: number, length: number): boolean;
}

export const nodeAead: Aead = {
  name: "node:crypto",
  seal(key, nonce, buffer, start, length) {
    const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: tagLength });
    buffer.set(cipher.update(buffer.subarray(start, start + length)), start);
    cipher.final();
    buffer.set(cipher.getAuthTag(), start + length);
  },
  open(key, nonce, buffer, start, length) {
    const decipher = createDecipheriv("chacha20-poly1305", key, nonce, { authTagLength: tagLength });
    decipher.setAuthTag(buffer.subarray(start + length, start + length + tagLength));
    const plaintext = decipher.update(buffer.subarray(start, start + length));
    try {
      decipher.final();
    } catch {
      return false;
    }
    buffer.set(plaintext, start);
    return true;
  },
};
