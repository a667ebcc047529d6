// X25519 keys: raw bytes, text forms, generation and agreement (protocol §1.1, RFC 7748).
// A private key carries node:crypto's handle and both raw halves, so that nothing is derived twice. Private raw bytes
// never reach a log: only privateKeyText, meant for key files, writes them out.
import { createPrivateKey, createPublicKey, diffieHellman, randomBytes, type KeyObject } from "node:crypto";
import type { DiscoKey, MachineKey, NodeKey, NodeLockKey } from "./ids.ts";

/** Length in bytes of every raw X25519 key, public or private. */
export const rawKeyLength = 32;

/** An X25519 key pair, named by the half that matters. */
export interface PrivateKey {
  /** 32 bytes, clamped. */
  readonly raw: Uint8Array;
  /** 32 bytes. */
  readonly publicRaw: Uint8Array;
  readonly handle: KeyObject;
}

/** `chalpub:<64 hex>`: the node key challenge of the early payload (protocol §2.6). */
export type ChallengeKeyText = `chalpub:${string}`;

/** A source of n random bytes. */
export type RandomBytes = (count: number) => Uint8Array;

/** A fresh key pair; `random` is given by tests and simulations that must repeat. */
export function generatePrivateKey(random?: RandomBytes): PrivateKey {
  if (random !== undefined) {
    return privateKeyFromRaw(random(rawKeyLength));
  }
  const seed = nextSeed();
  const key = privateKeyFromRaw(seed);
  seed.fill(0);
  return key;
}

/** Asking the system costs as much as half a key agreement, however few bytes: they are fetched for many keys at once. */
const seedsAtOnce = 64;
let seeds: Buffer = Buffer.alloc(0);
let seedAt = 0;

function nextSeed(): Buffer {
  if (seedAt === seeds.length) {
    seeds = randomBytes(seedsAtOnce * rawKeyLength);
    seedAt = 0;
  }
  seedAt += rawKeyLength;
  return seeds.subarray(seedAt - rawKeyLength, seedAt);
}

/** The key pair of 32 raw bytes, which are copied and clamped. Throws on any other length. */
export function privateKeyFromRaw(bytes: Uint8Array): PrivateKey {
  if (bytes.length !== rawKeyLength) {
    throw new RangeError(`an X25519 private key has ${rawKeyLength} bytes, not ${bytes.length}`);
  }
  const raw = clamp(bytes);
  const handle = createPrivateKey({ key: raw, format: "raw-private", asymmetricKeyType: "x25519" });
  return { raw, publicRaw: createPublicKey(handle).export({ format: "raw-public" }), handle };
}

/** RFC 7748 §5: OpenSSL clamps while it multiplies, but key files are compared by their bytes. */
function clamp(bytes: Uint8Array): Buffer {
  const raw = Buffer.from(bytes);
  raw[0] = (raw[0] ?? 0) & 248;
  raw[31] = ((raw[31] ?? 0) & 127) | 64;
  return raw;
}

/** The raw public half. */
export function publicOf(key: PrivateKey): Uint8Array {
  return key.publicRaw;
}

/** Another's public key, ready for agreements. */
export interface PublicKey {
  /** 32 bytes. */
  readonly raw: Uint8Array;
  readonly handle: KeyObject;
}

/** Undefined on any length but 32. Worth keeping where one key takes part in several agreements. */
export function importPublicKey(raw: Uint8Array): PublicKey | undefined {
  if (raw.length !== rawKeyLength) {
    return undefined;
  }
  const key = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  return { raw, handle: createPublicKey({ key, format: "raw-public", asymmetricKeyType: "x25519" }) };
}

/**
 * X25519 agreement, 32 bytes. Undefined when the result would be all zero, which happens exactly for the public keys
 * of low order and must end a handshake (RFC 7748 §6.1, protocol §2.4), and for what is no key.
 */
export function sharedSecret(key: PrivateKey, peer: PublicKey | Uint8Array): Uint8Array | undefined {
  const publicKey = peer instanceof Uint8Array ? importPublicKey(peer) : peer;
  if (publicKey === undefined) {
    return undefined;
  }
  try {
    const secret = diffieHellman({ privateKey: key.handle, publicKey: publicKey.handle });
    return secret.every((byte) => byte === 0) ? undefined : secret;
  } catch {
    // OpenSSL refuses all-zero results by itself; there is nothing else left to fail with a well-formed key.
    return undefined;
  }
}

function hexOf(raw: Uint8Array): string {
  if (raw.length !== rawKeyLength) {
    throw new RangeError(`a key text needs ${rawKeyLength} bytes, not ${raw.length}`);
  }
  return Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString("hex");
}

/** Text forms of 32 raw bytes; they throw on any other length. */
export function machineKeyText(raw: Uint8Array): MachineKey {
  return `mkey:${hexOf(raw)}` as MachineKey;
}
export function nodeKeyText(raw: Uint8Array): NodeKey {
  return `nodekey:${hexOf(raw)}` as NodeKey;
}
export function discoKeyText(raw: Uint8Array): DiscoKey {
  return `discokey:${hexOf(raw)}` as DiscoKey;
}
export function nodeLockKeyText(raw: Uint8Array): NodeLockKey {
  return `nlpub:${hexOf(raw)}` as NodeLockKey;
}
export function challengeKeyText(raw: Uint8Array): ChallengeKeyText {
  return `chalpub:${hexOf(raw)}`;
}

/** The 32 raw bytes behind a parsed key text. */
export function rawKey(text: MachineKey | NodeKey | DiscoKey | NodeLockKey | ChallengeKeyText): Uint8Array {
  return Buffer.from(text.slice(text.indexOf(":") + 1), "hex");
}

/** `privkey:<64 hex>`, the form of key files on disk. Secret. */
export function privateKeyText(key: PrivateKey): string {
  return `privkey:${hexOf(key.raw)}`;
}

const privateText = /^privkey:([0-9a-f]{64})$/i;

/** Reads the form of key files; surrounding white space is allowed. Undefined when the text is no such key. */
export function parsePrivateKey(text: string): PrivateKey | undefined {
  const hex = privateText.exec(text.trim())?.[1];
  return hex === undefined ? undefined : privateKeyFromRaw(Buffer.from(hex, "hex"));
}
