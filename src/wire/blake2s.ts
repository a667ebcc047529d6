// BLAKE2s-256 (RFC 7693) and HKDF over it (RFC 5869, HMAC of RFC 2104), for the dozens of tiny hashes of a handshake.
// node:crypto spends several times the hash itself on getting to it, and an object for each on the heap. The compression
// function is WebAssembly (blake2s-module.ts); this file lays its input out and composes the rest from it.
import { blake2sInitial, blake2sModule } from "./blake2s-module.ts";

/** Bytes of a digest, and of a chaining key. */
export const digestLength = 32;
const blockLength = 64;
/** Longest text of `hashTwo`, both parts together. */
export const textLimit = 1024;

/** Where things lie in the module's one page of memory, bytes. */
const beginningAt = 0;
const stateAt = 32;
const keyAt = 64;
/** States behind a key's first block, inner and outer (RFC 2104). */
const innerAt = 96;
const outerAt = 128;
const blockAt = 192;
const textAt = blockAt + blockLength;

const { memory: page, compress } = blake2sModule();
const memory = new Uint8Array(page.buffer);
const words = new Int32Array(page.buffer);
const state = memory.subarray(stateAt, stateAt + digestLength);
setBeginning();

/** BLAKE2s of `first ‖ second`, written to `out`, which may be one of them. */
export function hashTwo(first: Uint8Array, second: Uint8Array, out: Uint8Array): void {
  const length = first.length + second.length;
  if (length > textLimit) {
    throw new RangeError(`at most ${textLimit} bytes are hashed at once, not ${length}`);
  }
  memory.set(first, textAt);
  memory.set(second, textAt + first.length);
  copyDigest(beginningAt, stateAt);
  absorb(textAt, length, 0);
  out.set(state);
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
  takeKey();
  hmac(secret.length);
  copyDigest(stateAt, keyAt);
  takeKey();
  memory[textAt] = 1;
  hmac(1);
  first.set(state);
  copyDigest(stateAt, textAt);
  memory[textAt + digestLength] = 2;
  hmac(digestLength + 1);
  second.set(state);
  // What was derived is the caller's alone.
  memory.fill(0, stateAt, textAt + textLimit);
}

/** The 32 bytes at `keyAt` are the key of the HMACs that follow. */
function takeKey(): void {
  padKey(0x36363636);
  copyDigest(beginningAt, innerAt);
  compress(innerAt, blockAt, blockLength, 0);
  padKey(0x5c5c5c5c);
  copyDigest(beginningAt, outerAt);
  compress(outerAt, blockAt, blockLength, 0);
}

/** HMAC of so many bytes at `textAt`, into the state. */
function hmac(length: number): void {
  if (length === 0) {
    // The key's block is the last one then.
    padKey(0x36363636);
    copyDigest(beginningAt, stateAt);
    compress(stateAt, blockAt, blockLength, -1);
  } else {
    copyDigest(innerAt, stateAt);
    absorb(textAt, length, blockLength);
  }
  copyDigest(stateAt, blockAt);
  copyDigest(outerAt, stateAt);
  absorb(blockAt, digestLength, blockLength);
}

function padKey(pad: number): void {
  for (let index = 0; index < digestLength / 4; index++) {
    words[blockAt / 4 + index] = (words[keyAt / 4 + index] ?? 0) ^ pad;
  }
  words.fill(pad, (blockAt + digestLength) / 4, (blockAt + blockLength) / 4);
}

/** So many bytes, the last ones, into the state, which has taken `before` already. */
function absorb(from: number, length: number, before: number): void {
  let done = 0;
  for (; done + blockLength < length; done += blockLength) {
    compress(stateAt, from + done, before + done + blockLength, 0);
  }
  memory.fill(0, from + length, from + done + blockLength);
  compress(stateAt, from + done, before + length, -1);
}

function copyDigest(from: number, to: number): void {
  memory.copyWithin(to, from, from + digestLength);
}

/** RFC 7693 §2.6, with the parameters of a 32-byte digest without a key (§2.5) in the first word. */
function setBeginning(): void {
  const beginning = new DataView(memory.buffer, beginningAt);
  blake2sInitial.forEach((word, index) => beginning.setInt32(4 * index, word, true));
  beginning.setInt32(0, (blake2sInitial[0] ?? 0) ^ 0x0101_0000 ^ digestLength, true);
}
