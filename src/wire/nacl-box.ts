// NaCl's crypto_box (X25519, XSalsa20-Poly1305) as the DERP handshake uses it (protocol §8.3): 24-byte nonce apart,
// box = 16-byte tag ‖ ciphertext. Both directions of one handshake share one key, so it is computed once.
// Randomness (nonces, private keys) is passed in.
import sodium, { ready } from "libsodium-wrappers";
import type { PrivateKey } from "./keys.ts";

/** Resolves when sealing and opening may be used (the WebAssembly module is ready, some 10 ms after the first import). */
export const boxReady: Promise<void> = ready;

export const boxNonceLength = 24;
export const boxOverhead = 16;

/** The key two parties share, or undefined for a public key of low order (everybody would share that one). */
export function sharedBoxKey(theirPublic: Uint8Array, ourPrivate: PrivateKey): Uint8Array | undefined {
  try {
    return sodium.crypto_box_beforenm(theirPublic, ourPrivate.raw);
  } catch {
    return undefined;
  }
}

/** Tag and ciphertext. A nonce is never used twice with one key. */
export function sealBox(message: Uint8Array, nonce: Uint8Array, shared: Uint8Array): Uint8Array {
  return sodium.crypto_box_easy_afternm(message, nonce, shared);
}

/** The message, or undefined when the box was not sealed with this nonce and key. */
export function openBox(box: Uint8Array, nonce: Uint8Array, shared: Uint8Array): Uint8Array | undefined {
  if (box.length < boxOverhead) {
    return undefined;
  }
  try {
    return sodium.crypto_box_open_easy_afternm(box, nonce, shared);
  } catch {
    return undefined;
  }
}
