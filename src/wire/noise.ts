// Noise_IK_25519_ChaChaPoly_BLAKE2s as Tailscale's control protocol uses it (protocol §2.4–2.5): both payloads empty,
// the client's protocol version in the frame header and in the prologue. Pure bytes in, bytes out.
// The static key that arrives is proven to be the peer's only when the last tag of the initiation has been checked.
import { keyLength, materialLength, tagLength } from "./aead.ts";
import { digestLength, hashTwo, hkdfTwo } from "./blake2s.ts";
import type { MachineKey } from "./ids.ts";
import {
  generatePrivateKey,
  importPublicKey,
  machineKeyText,
  rawKeyLength,
  sharedSecret,
  type PrivateKey,
} from "./keys.ts";
import { aeadFor } from "./seal.ts";

const protocolName = "Noise_IK_25519_ChaChaPoly_BLAKE2s";
const prologuePrefix = "Tailscale Control Protocol v";

/** Types of the frames on the wire (protocol §2.5). */
export const frameType = { initiation: 1, response: 2, error: 3, record: 4 } as const;

const initiationHeaderLength = 5; // u16 version, u8 type, u16 length
const initiationPayloadLength = rawKeyLength + (rawKeyLength + tagLength) + tagLength;
/** Bytes of a whole initiation frame. */
export const initiationLength = initiationHeaderLength + initiationPayloadLength; // 101
const responseHeaderLength = 3; // u8 type, u16 length
const responsePayloadLength = rawKeyLength + tagLength;
/** Bytes of a whole response frame. */
export const responseLength = responseHeaderLength + responsePayloadLength; // 51

/** What both sides hold when the handshake has succeeded. Keys are 32 bytes, one per direction. */
export interface SessionKeys {
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
  /** 32 bytes, unique to this handshake: the channel binding. */
  readonly handshakeHash: Uint8Array;
}

/**
 * Why a handshake ended. `malformed`: wrong size, type or length field. `rejected`: a tag did not verify, most often
 * because the client holds another server key. `weak-key`: an agreement gave zero, so someone sent a low-order point.
 */
export type HandshakeFault = "malformed" | "rejected" | "weak-key";

export type AcceptResult =
  | ({
      readonly ok: true;
      /** The client's capability version, 0 … 65535, from the frame's header. */
      readonly version: number;
      readonly machineKey: MachineKey;
      /** The whole response frame, 51 bytes. */
      readonly response: Uint8Array;
    } & SessionKeys)
  | { readonly ok: false; readonly reason: HandshakeFault };

const nothing = new Uint8Array(0);
const protocolHash = blake2s(Buffer.from(protocolName, "latin1"), nothing);
/** Clients of few versions come to one server key: their common beginning is hashed once. Versions are theirs to name. */
const maxBeginnings = 64;
const beginnings = new Map<string, Uint8Array>();

function beginning(version: number, serverPublic: Uint8Array): Uint8Array {
  const key = `${version} ${Buffer.from(serverPublic.buffer, serverPublic.byteOffset, rawKeyLength).toString("latin1")}`;
  let known = beginnings.get(key);
  if (known === undefined) {
    const withVersion = blake2s(protocolHash, Buffer.from(prologuePrefix + version, "latin1"));
    known = blake2s(withVersion, serverPublic);
    if (beginnings.size < maxBeginnings) {
      beginnings.set(key, known);
    }
  }
  return known;
}

/** The running hash and chaining key of a handshake. */
class SymmetricState {
  readonly #hash: Uint8Array;
  readonly #chain = Uint8Array.from(protocolHash);
  /** Each key seals once in a handshake, so the nonce behind it is always zero. */
  readonly #material = new Uint8Array(materialLength);
  readonly #key = this.#material.subarray(0, keyLength);

  constructor(version: number, serverPublic: Uint8Array) {
    this.#hash = Uint8Array.from(beginning(version, serverPublic));
  }

  get hash(): Uint8Array {
    return this.#hash;
  }

  mixHash(data: Uint8Array): void {
    hashTwo(this.#hash, data, this.#hash);
  }

  mixKey(secret: Uint8Array): void {
    hkdfTwo(this.#chain, secret, this.#chain, this.#key);
  }

  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const sealed = Buffer.allocUnsafe(plaintext.length + tagLength);
    sealed.set(plaintext);
    aeadFor(plaintext.length).seal(this.#material, sealed, 0, plaintext.length, this.#hash);
    this.mixHash(sealed);
    return sealed;
  }

  /** Undefined when the tag does not verify. */
  decryptAndHash(sealed: Uint8Array): Uint8Array | undefined {
    const length = sealed.length - tagLength;
    const text = Buffer.from(sealed);
    if (!aeadFor(length).open(this.#material, text, 0, length, this.#hash)) {
      return undefined;
    }
    this.mixHash(sealed);
    return text.subarray(0, length);
  }

  /** [client → server, server → client]. */
  split(): readonly [Uint8Array, Uint8Array] {
    const keys = [new Uint8Array(digestLength), new Uint8Array(digestLength)] as const;
    hkdfTwo(this.#chain, nothing, ...keys);
    return keys;
  }
}

function blake2s(first: Uint8Array, second: Uint8Array): Uint8Array {
  const digest = new Uint8Array(digestLength);
  hashTwo(first, second, digest);
  return digest;
}

/**
 * The server's half. `initFrame` is the whole initiation frame; `ephemeral` is given by tests alone. Costs four
 * agreements and one key generation, so the caller bounds how often strangers may ask for it.
 */
export function acceptHandshake(initFrame: Uint8Array, serverStatic: PrivateKey, ephemeral?: PrivateKey): AcceptResult {
  const frame = parseInitiation(initFrame);
  if (frame === undefined) {
    return { ok: false, reason: "malformed" };
  }
  const state = new SymmetricState(frame.version, serverStatic.publicRaw);
  state.mixHash(frame.ephemeral);
  const clientEphemeral = importPublicKey(frame.ephemeral);
  const es = clientEphemeral === undefined ? undefined : sharedSecret(serverStatic, clientEphemeral);
  if (clientEphemeral === undefined || es === undefined) {
    return { ok: false, reason: "weak-key" };
  }
  state.mixKey(es);
  const clientStatic = state.decryptAndHash(frame.sealedStatic);
  if (clientStatic === undefined) {
    return { ok: false, reason: "rejected" };
  }
  const clientKey = importPublicKey(clientStatic);
  const ss = clientKey === undefined ? undefined : sharedSecret(serverStatic, clientKey);
  if (clientKey === undefined || ss === undefined) {
    return { ok: false, reason: "weak-key" };
  }
  state.mixKey(ss);
  if (state.decryptAndHash(frame.tag) === undefined) {
    return { ok: false, reason: "rejected" };
  }
  const own = ephemeral ?? generatePrivateKey();
  const ee = sharedSecret(own, clientEphemeral);
  const se = sharedSecret(own, clientKey);
  if (ee === undefined || se === undefined) {
    return { ok: false, reason: "weak-key" };
  }
  const response = writeResponse(state, own, ee, se);
  const [receiveKey, sendKey] = state.split();
  const machineKey = machineKeyText(clientStatic);
  return { ok: true, version: frame.version, machineKey, response, sendKey, receiveKey, handshakeHash: state.hash };
}

interface Initiation {
  readonly version: number;
  readonly ephemeral: Uint8Array;
  readonly sealedStatic: Uint8Array;
  readonly tag: Uint8Array;
}

function parseInitiation(bytes: Uint8Array): Initiation | undefined {
  if (bytes.length !== initiationLength) {
    return undefined;
  }
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (frame.readUInt8(2) !== frameType.initiation || frame.readUInt16BE(3) !== initiationPayloadLength) {
    return undefined;
  }
  const staticAt = initiationHeaderLength + rawKeyLength;
  const tagAt = initiationLength - tagLength;
  return {
    version: frame.readUInt16BE(0),
    ephemeral: frame.subarray(initiationHeaderLength, staticAt),
    sealedStatic: frame.subarray(staticAt, tagAt),
    tag: frame.subarray(tagAt),
  };
}

function writeResponse(state: SymmetricState, own: PrivateKey, ee: Uint8Array, se: Uint8Array): Uint8Array {
  const response = Buffer.allocUnsafe(responseLength);
  response.writeUInt8(frameType.response, 0);
  response.writeUInt16BE(responsePayloadLength, 1);
  response.set(own.publicRaw, responseHeaderLength);
  state.mixHash(own.publicRaw);
  state.mixKey(ee);
  state.mixKey(se);
  response.set(state.encryptAndHash(Buffer.alloc(0)), responseHeaderLength + rawKeyLength);
  return response;
}

export interface HandshakeStart {
  /** Capability version, 0 … 65535. */
  readonly version: number;
  readonly machineKey: PrivateKey;
  /** Raw 32 bytes. */
  readonly serverPublic: Uint8Array;
  /** Given by tests alone. */
  readonly ephemeral?: PrivateKey;
}

export type FinishResult =
  | ({ readonly ok: true } & SessionKeys)
  | { readonly ok: false; readonly reason: HandshakeFault };

export type StartedHandshake =
  | {
      readonly ok: true;
      /** The whole initiation frame, 101 bytes. */
      readonly initiation: Uint8Array;
      /** Takes the whole response frame; good for one call. */
      readonly finish: (response: Uint8Array) => FinishResult;
    }
  | { readonly ok: false; readonly reason: "weak-key" };

/** The client's half. */
export function startHandshake({ version, machineKey, serverPublic, ephemeral }: HandshakeStart): StartedHandshake {
  const own = ephemeral ?? generatePrivateKey();
  const es = sharedSecret(own, serverPublic);
  const ss = sharedSecret(machineKey, serverPublic);
  if (es === undefined || ss === undefined) {
    return { ok: false, reason: "weak-key" };
  }
  const initiation = Buffer.allocUnsafe(initiationLength);
  initiation.writeUInt16BE(version, 0);
  initiation.writeUInt8(frameType.initiation, 2);
  initiation.writeUInt16BE(initiationPayloadLength, 3);
  const state = new SymmetricState(version, serverPublic);
  initiation.set(own.publicRaw, initiationHeaderLength);
  state.mixHash(own.publicRaw);
  state.mixKey(es);
  initiation.set(state.encryptAndHash(machineKey.publicRaw), initiationHeaderLength + rawKeyLength);
  state.mixKey(ss);
  initiation.set(state.encryptAndHash(Buffer.alloc(0)), initiationLength - tagLength);
  return { ok: true, initiation, finish: (response) => finishHandshake(state, own, machineKey, response) };
}

function finishHandshake(
  state: SymmetricState,
  own: PrivateKey,
  machineKey: PrivateKey,
  bytes: Uint8Array,
): FinishResult {
  const response = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (
    response.length !== responseLength ||
    response.readUInt8(0) !== frameType.response ||
    response.readUInt16BE(1) !== responsePayloadLength
  ) {
    return { ok: false, reason: "malformed" };
  }
  const serverEphemeral = response.subarray(responseHeaderLength, responseHeaderLength + rawKeyLength);
  const ee = sharedSecret(own, serverEphemeral);
  const se = sharedSecret(machineKey, serverEphemeral);
  if (ee === undefined || se === undefined) {
    return { ok: false, reason: "weak-key" };
  }
  state.mixHash(serverEphemeral);
  state.mixKey(ee);
  state.mixKey(se);
  if (state.decryptAndHash(response.subarray(responseHeaderLength + rawKeyLength)) === undefined) {
    return { ok: false, reason: "rejected" };
  }
  const [sendKey, receiveKey] = state.split();
  return { ok: true, sendKey, receiveKey, handshakeHash: state.hash };
}
