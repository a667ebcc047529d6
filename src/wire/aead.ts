// The cipher of records and handshakes (ChaCha20-Poly1305, RFC 8439) behind one interface with two implementations,
// because what costs is the call, not the cipher: libsodium's WASM, and node:crypto until that is compiled. Both work in
// the caller's buffer, hold no state and no native handle per key.
import { createCipheriv, createDecipheriv } from "node:crypto";

/** Bytes the tag adds behind a sealed text. */
export const tagLength = 16;

/**
 * The raw cipher, in place: `buffer[start, start+length)` is the text, its tag stands or is written right behind. `data`
 * is authenticated and not sent: up to 64 bytes, records have none.
 */
export interface Aead {
  readonly name: string;
  seal(key: Uint8Array, nonce: Uint8Array, buffer: Uint8Array, start: number, length: number, data?: Uint8Array): void;
  /** False, with the buffer unchanged, when the tag does not verify. */
  open(
    key: Uint8Array,
    nonce: Uint8Array,
    buffer: Uint8Array,
    start: number,
    length: number,
    data?: Uint8Array,
  ): boolean;
}

export const nodeAead: Aead = {
  name: "node:crypto",
  seal(key, nonce, buffer, start, length, data) {
    const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: tagLength });
    if (data !== undefined) {
      cipher.setAAD(data);
    }
    buffer.set(cipher.update(buffer.subarray(start, start + length)), start);
    cipher.final();
    buffer.set(cipher.getAuthTag(), start + length);
  },
  open(key, nonce, buffer, start, length, data) {
    const decipher = createDecipheriv("chacha20-poly1305", key, nonce, { authTagLength: tagLength });
    if (data !== undefined) {
      decipher.setAAD(data);
    }
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
