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
export function generatePrivateKey(random: RandomBytes = randomBytes): PrivateKey {
  return privateKeyFromRaw(random(rawKeyLength));
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

/**
 * X25519 agreement, 32 bytes. Undefined when the result would be all zero, which happens exactly for the public keys
 * of low order and must end a handshake (RFC 7748 §6.1, protocol §2.4).
 */
export function sharedSecret(key: PrivateKey, peerPublic: Uint8Array): Uint8Array | undefined {
  if (peerPublic.length !== rawKeyLength) {
    return undefined;
  }
  const publicKey = createPublicKey({
    key: Buffer.from(peerPublic.buffer, peerPublic.byteOffset, peerPublic.byteLength),
    format: "raw-public",
    asymmetricKeyType: "x25519",
  });
  try {
    const secret = diffieHellman({ privateKey: key.handle, publicKey });
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
