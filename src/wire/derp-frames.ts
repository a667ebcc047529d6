// DERP frames (protocol §8.2): `u8 type ‖ u32 BE length ‖ payload`. Encoders for every type and parsers for what arrives.
// Parsers return undefined for a payload that is not one; where the reference says so they accept longer or shorter ones.
// The forwarding path does not go through these parsers: it rewrites SendPacket to RecvPacket where it lies.

export const frameType = {
  serverKey: 0x01,
  clientInfo: 0x02,
  serverInfo: 0x03,
  sendPacket: 0x04,
  recvPacket: 0x05,
  keepAlive: 0x06,
  notePreferred: 0x07,
  peerGone: 0x08,
  peerPresent: 0x09,
  forwardPacket: 0x0a,
  watchConns: 0x10,
  closePeer: 0x11,
  ping: 0x12,
  pong: 0x13,
  health: 0x14,
  restarting: 0x15,
} as const;

export const peerGoneReason = { disconnected: 0x00, notHere: 0x01 } as const;
/** Bits of PeerPresent's last byte. */
export const peerPresentFlag = { regular: 1, meshPeer: 2, prober: 4, notIdeal: 8 } as const;

export const headerLength = 5;
export const keyLength = 32;
export const nonceLength = 24;
export const protocolVersion = 2;
/** Largest packet that may be relayed, bytes. */
export const maxPacket = 65536;
/** Clients hang up on a frame above this, bytes of payload. */
export const maxFrameToClient = 1 << 20;
/** Where the packet begins inside a SendPacket or RecvPacket frame, counted from the frame's first byte. */
export const packetOffset = headerLength + keyLength;

/** "DERP🔑": the first bytes of ServerKey. */
const magic = Buffer.from("44455250f09f9491", "hex");
/** "TS💬": how a disco packet begins, followed by the sender's disco key and a nonce. */
const discoMagic = Buffer.from("5453f09f92ac", "hex");
const discoMinimum = discoMagic.length + keyLength + nonceLength;

/** True for a disco packet at `buffer[start, end)`: the only look a relay takes at contents (§8.4). */
export function isDisco(buffer: Buffer, start: number, end: number): boolean {
  return (
    end - start >= discoMinimum &&
    buffer.compare(discoMagic, 0, discoMagic.length, start, start + discoMagic.length) === 0
  );
}

/** A whole frame from its type and the pieces of its payload. */
export function encodeFrame(type: number, ...pieces: readonly Uint8Array[]): Buffer {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const frame = Buffer.allocUnsafe(headerLength + length);
  frame.writeUInt8(type, 0);
  frame.writeUInt32BE(length, 1);
  let at = headerLength;
  for (const piece of pieces) {
    frame.set(piece, at);
    at += piece.length;
  }
  return frame;
}

export function encodeServerKey(publicKey: Uint8Array): Buffer {
  return encodeFrame(frameType.serverKey, magic, publicKey);
}

/** The server's public key; bytes after it are ignored. */
export function parseServerKey(payload: Buffer): Buffer | undefined {
  const end = magic.length + keyLength;
  return payload.length >= end && payload.subarray(0, magic.length).equals(magic)
    ? payload.subarray(magic.length, end)
    : undefined;
}

/** `box` is the NaCl box (nonce apart) of the ClientInfo JSON. */
export function encodeClientInfo(clientKey: Uint8Array, nonce: Uint8Array, box: Uint8Array): Buffer {
  return encodeFrame(frameType.clientInfo, clientKey, nonce, box);
}

export interface SealedClientInfo {
  readonly clientKey: Buffer;
  readonly nonce: Buffer;
  readonly box: Buffer;
}

export function parseClientInfo(payload: Buffer): SealedClientInfo | undefined {
  const boxAt = keyLength + nonceLength;
  if (payload.length < boxAt) {
    return undefined;
  }
  return {
    clientKey: payload.subarray(0, keyLength),
    nonce: payload.subarray(keyLength, boxAt),
    box: payload.subarray(boxAt),
  };
}

export function encodeServerInfo(nonce: Uint8Array, box: Uint8Array): Buffer {
  return encodeFrame(frameType.serverInfo, nonce, box);
}

export function parseServerInfo(payload: Buffer): { readonly nonce: Buffer; readonly box: Buffer } | undefined {
  return payload.length < nonceLength
    ? undefined
    : { nonce: payload.subarray(0, nonceLength), box: payload.subarray(nonceLength) };
}

export function encodeSendPacket(destination: Uint8Array, packet: Uint8Array): Buffer {
  return encodeFrame(frameType.sendPacket, destination, packet);
}

export function encodeRecvPacket(source: Uint8Array, packet: Uint8Array): Buffer {
  return encodeFrame(frameType.recvPacket, source, packet);
}

/** SendPacket (key is the destination) and RecvPacket (key is the source) have one shape. */
export function parsePacket(payload: Buffer): { readonly key: Buffer; readonly packet: Buffer } | undefined {
  return payload.length < keyLength
    ? undefined
    : { key: payload.subarray(0, keyLength), packet: payload.subarray(keyLength) };
}

export function encodeForwardPacket(source: Uint8Array, destination: Uint8Array, packet: Uint8Array): Buffer {
  return encodeFrame(frameType.forwardPacket, source, destination, packet);
}

export interface ForwardedPacket {
  readonly source: Buffer;
  readonly destination: Buffer;
  readonly packet: Buffer;
}

export function parseForwardPacket(payload: Buffer): ForwardedPacket | undefined {
  if (payload.length < 2 * keyLength) {
    return undefined;
  }
  return {
    source: payload.subarray(0, keyLength),
    destination: payload.subarray(keyLength, 2 * keyLength),
    packet: payload.subarray(2 * keyLength),
  };
}

export function encodeKeepAlive(): Buffer {
  return encodeFrame(frameType.keepAlive);
}

export function encodeNotePreferred(preferred: boolean): Buffer {
  return encodeFrame(frameType.notePreferred, Uint8Array.of(preferred ? 1 : 0));
}

export function parseNotePreferred(payload: Buffer): boolean | undefined {
  return payload.length === 1 ? payload[0] !== 0 : undefined;
}

export function encodePeerGone(key: Uint8Array, reason: number): Buffer {
  return encodeFrame(frameType.peerGone, key, Uint8Array.of(reason));
}

/** A missing reason byte, as the oldest servers sent it, is "disconnected". */
export function parsePeerGone(payload: Buffer): { readonly key: Buffer; readonly reason: number } | undefined {
  return payload.length < keyLength
    ? undefined
    : { key: payload.subarray(0, keyLength), reason: payload[keyLength] ?? peerGoneReason.disconnected };
}

export interface PeerPresent {
  readonly key: Buffer;
  /** 16 bytes, IPv4 as v4-mapped; absent in the short form. */
  readonly ip?: Buffer;
  readonly port?: number;
  readonly flags?: number;
}

export function encodePeerPresent(key: Uint8Array, ip: Uint8Array, port: number, flags: number): Buffer {
  return encodeFrame(frameType.peerPresent, key, ip, Uint8Array.of(port >> 8, port & 0xff, flags));
}

/** Shorter (key alone, or without flags) and longer payloads are legal. */
export function parsePeerPresent(payload: Buffer): PeerPresent | undefined {
  if (payload.length < keyLength) {
    return undefined;
  }
  const key = payload.subarray(0, keyLength);
  if (payload.length < keyLength + 18) {
    return { key };
  }
  const ip = payload.subarray(keyLength, keyLength + 16);
  const port = payload.readUInt16BE(keyLength + 16);
  const flags = payload[keyLength + 18];
  return flags === undefined ? { key, ip, port } : { key, ip, port, flags };
}

export function encodeWatchConns(): Buffer {
  return encodeFrame(frameType.watchConns);
}

export function encodeClosePeer(key: Uint8Array): Buffer {
  return encodeFrame(frameType.closePeer, key);
}

/** The key that a ClosePeer frame names. */
export function parseClosePeer(payload: Buffer): Buffer | undefined {
  return payload.length < keyLength ? undefined : payload.subarray(0, keyLength);
}

export function encodePing(data: Uint8Array): Buffer {
  return encodeFrame(frameType.ping, data);
}

export function encodePong(data: Uint8Array): Buffer {
  return encodeFrame(frameType.pong, data);
}

/** Bounds of a ping or pong payload; what stands after the eighth byte is ignored. */
export const pingLength = { least: 8, most: 1000 } as const;

/** The 8 bytes of a Ping or Pong. */
export function parsePing(payload: Buffer): Buffer | undefined {
  return payload.length < pingLength.least || payload.length > pingLength.most ? undefined : payload.subarray(0, 8);
}

/** An empty text clears the problem. */
export function encodeHealth(problem: string): Buffer {
  return encodeFrame(frameType.health, Buffer.from(problem, "utf8"));
}

export function encodeRestarting(reconnectInMs: number, tryForMs: number): Buffer {
  const payload = Buffer.allocUnsafe(8);
  payload.writeUInt32BE(reconnectInMs, 0);
  payload.writeUInt32BE(tryForMs, 4);
  return encodeFrame(frameType.restarting, payload);
}

export function parseRestarting(
  payload: Buffer,
): { readonly reconnectInMs: number; readonly tryForMs: number } | undefined {
  return payload.length < 8 ? undefined : { reconnectInMs: payload.readUInt32BE(0), tryForMs: payload.readUInt32BE(4) };
}
