// BLAKE2s-256 (RFC 7693) and HKDF over it (RFC 5869, HMAC of RFC 2104), for the dozens of tiny hashes of a handshake.
// node:crypto spends several times the hash itself on getting to it, and an object for each on the heap. The compression
// function is WebAssembly (blake2s-module.ts); this file lays its input out and composes the rest from it.
import { blake2sInitial, blake2sModule } from "./blake2s-module.ts";

/** Bytes of a digest, and of a chaining key. */
export const digestLength = 32;
const blockLength = 64;
/** Longest text of `hashTwo`, both parts together. */
export const textLimit = 1024;

/** Where things lie in the module's one page of memory. */
const beginningAt = 0;
const stateAt = 32;
const keyAt = 64;
const inputAt = 128;
/** Behind the first block of input, which a key fills. */
const textAt = inputAt + blockLength;

const { memory: page, compress } = blake2sModule();
const memory = new Uint8Array(page.buffer);
setBeginning();

/** BLAKE2s of `first ‖ second`, written to `out`, which may be one of them. */
export function hashTwo(first: Uint8Array, second: Uint8Array, out: Uint8Array): void {
  const length = first.length + second.length;
  if (length > textLimit) {
    throw new RangeError(`at most ${textLimit} bytes are hashed at once, not ${length}`);
  }
  memory.set(first, inputAt);
  memory.set(second, inputAt + first.length);
  hashInput(length);
  out.set(digest());
}

/**
 * HKDF of the secret with the chaining key as salt and no info: 64 bytes, the first half to `first`, the second to
 * `second`. Either may be `salt` or `secret` itself.
 */
export function hkdfTwo(salt: Uint8Array, secret: Uint8Array, first: Uint8Array, second: Uint8Array): void {
  if (salt.length !== digestLength || secret.length > textLimit - blockLength) {
    throw new RangeError(`a salt of ${salt.length} and a secret of ${secret.length} bytes are not supported`);
  }
  memory.set(salt, keyAt);
  memory.set(secret, textAt);
  hmacInput(secret.length);
  memory.copyWithin(keyAt, stateAt, stateAt + digestLength);
  memory[textAt] = 1;
  hmacInput(1);
  first.set(digest());
  memory.copyWithin(textAt, stateAt, stateAt + digestLength);
  memory[textAt + digestLength] = 2;
  hmacInput(digestLength + 1);
  second.set(digest());
  // What was derived is the caller's alone.
  memory.fill(0, stateAt, textAt + textLimit);
}

/** HMAC, with the 32 bytes at `keyAt`, of so many bytes at `textAt`; the digest is in the state then. */
function hmacInput(length: number): void {
  padKey(0x36);
  hashInput(blockLength + length);
  memory.copyWithin(textAt, stateAt, stateAt + digestLength);
  padKey(0x5c);
  hashInput(blockLength + digestLength);
}

function padKey(pad: number): void {
  for (let index = 0; index < digestLength; index++) {
    memory[inputAt + index] = (memory[keyAt + index] ?? 0) ^ pad;
  }
  memory.fill(pad, inputAt + digestLength, textAt);
}

/** The digest of so many bytes of input, into the state. */
function hashInput(length: number): void {
  memory.copyWithin(stateAt, beginningAt, beginningAt + digestLength);
  let at = 0;
  for (; at + blockLength < length; at += blockLength) {
    compress(stateAt, inputAt + at, at + blockLength, 0);
  }
  memory.fill(0, inputAt + length, inputAt + at + blockLength);
  compress(stateAt, inputAt + at, length, -1);
}

function digest(): Uint8Array {
  return memory.subarray(stateAt, stateAt + digestLength);
}

/** RFC 7693 §2.6, with the parameters of a 32-byte digest without a key (§2.5) in the first word. */
function setBeginning(): void {
  const words = new DataView(memory.buffer, beginningAt);
  blake2sInitial.forEach((word, index) => words.setInt32(4 * index, word, true));
  words.setInt32(0, (blake2sInitial[0] ?? 0) ^ 0x0101_0000 ^ digestLength, true);
}
