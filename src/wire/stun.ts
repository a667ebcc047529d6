// STUN as Tailscale clients speak it (RFC 8489 binding requests with SOFTWARE "tailnode" and a FINGERPRINT; protocol
// §8.9). The check is strict and anything else is dropped without an answer, so the port amplifies nothing and answers
// no scanner.
import { crc32 } from "node:zlib";

const headerLength = 20;
const magicCookie = 0x2112a442;
const bindingRequest = 0x0001;
const bindingSuccess = 0x0101;
const attribute = { xorMappedAddress: 0x0020, software: 0x8022, fingerprint: 0x8028 } as const;
const fingerprintXor = 0x5354554e;
const fingerprintLength = 8;
const software = Buffer.from("tailnode", "ascii");
export const txidLength = 12;

/**
 * The transaction id of a client's binding request, or undefined when the datagram is anything else.
 * The id is a view into `datagram`.
 */
export function parseStunRequest(datagram: Buffer): Buffer | undefined {
  if (
    datagram.length < headerLength + fingerprintLength ||
    datagram.readUInt16BE(0) !== bindingRequest ||
    datagram.readUInt32BE(4) !== magicCookie ||
    datagram.readUInt16BE(2) !== datagram.length - headerLength
  ) {
    return undefined;
  }
  const fingerprintAt = datagram.length - fingerprintLength;
  if (!namesTailnode(datagram, fingerprintAt) || !hasFingerprint(datagram, fingerprintAt)) {
    return undefined;
  }
  return datagram.subarray(8, headerLength);
}

/** Walks the attributes up to `end`, where exactly the fingerprint must begin, and looks for our clients' SOFTWARE. */
function namesTailnode(datagram: Buffer, end: number): boolean {
  let found = false;
  let at = headerLength;
  while (at + 4 <= end) {
    const length = datagram.readUInt16BE(at + 2);
    const valueEnd = at + 4 + length;
    if (valueEnd > end) {
      return false;
    }
    if (datagram.readUInt16BE(at) === attribute.software) {
      found = datagram.subarray(at + 4, valueEnd).equals(software);
    }
    at = valueEnd + ((4 - (length % 4)) % 4);
  }
  return found && at === end;
}

function hasFingerprint(datagram: Buffer, at: number): boolean {
  return (
    datagram.readUInt16BE(at) === attribute.fingerprint &&
    datagram.readUInt16BE(at + 2) === 4 &&
    datagram.readUInt32BE(at + 4) === fingerprintOf(datagram.subarray(0, at))
  );
}

function fingerprintOf(message: Buffer): number {
  return (crc32(message) ^ fingerprintXor) >>> 0;
}

/** A client's binding request; `txid` is 12 bytes. */
export function encodeStunRequest(txid: Uint8Array): Buffer {
  const request = Buffer.alloc(headerLength + 4 + software.length + fingerprintLength);
  writeHeader(request, bindingRequest, txid);
  request.writeUInt16BE(attribute.software, 20);
  request.writeUInt16BE(software.length, 22);
  request.set(software, 24);
  const fingerprintAt = request.length - fingerprintLength;
  request.writeUInt16BE(attribute.fingerprint, fingerprintAt);
  request.writeUInt16BE(4, fingerprintAt + 2);
  request.writeUInt32BE(fingerprintOf(request.subarray(0, fingerprintAt)), fingerprintAt + 4);
  return request;
}

/** Success response that tells `address` (4 or 16 bytes; v4-mapped is told as IPv4) and `port` back to the sender. */
export function encodeStunResponse(txid: Uint8Array, address: Uint8Array, port: number): Buffer {
  const ip = unmapped(address);
  const response = Buffer.alloc(headerLength + 8 + ip.length);
  writeHeader(response, bindingSuccess, txid);
  response.writeUInt16BE(attribute.xorMappedAddress, 20);
  response.writeUInt16BE(4 + ip.length, 22);
  response.writeUInt8(ip.length === 4 ? 1 : 2, 25);
  response.writeUInt16BE(port ^ (magicCookie >>> 16), 26);
  // The mask is cookie ‖ txid, which is what the header holds from its fifth byte.
  for (let i = 0; i < ip.length; i++) {
    response.writeUInt8((ip[i] ?? 0) ^ response.readUInt8(4 + i), 28 + i);
  }
  return response;
}

/** Reads a success response to `txid`; undefined for anything else. Used by probes and tests. */
export function parseStunResponse(
  datagram: Buffer,
  txid: Uint8Array,
): { readonly address: Buffer; readonly port: number } | undefined {
  if (
    datagram.length < headerLength ||
    datagram.readUInt16BE(0) !== bindingSuccess ||
    datagram.readUInt32BE(4) !== magicCookie ||
    !datagram.subarray(8, headerLength).equals(txid)
  ) {
    return undefined;
  }
  for (let at = headerLength; at + 4 <= datagram.length;) {
    const length = datagram.readUInt16BE(at + 2);
    const end = at + 4 + length;
    if (end > datagram.length) {
      return undefined;
    }
    if (datagram.readUInt16BE(at) === attribute.xorMappedAddress && (length === 8 || length === 20)) {
      const address = Buffer.from(datagram.subarray(at + 8, end)).map((byte, i) => byte ^ datagram.readUInt8(4 + i));
      return { address: Buffer.from(address), port: datagram.readUInt16BE(at + 6) ^ (magicCookie >>> 16) };
    }
    at = end + ((4 - (length % 4)) % 4);
  }
  return undefined;
}

function writeHeader(message: Buffer, type: number, txid: Uint8Array): void {
  message.writeUInt16BE(type, 0);
  message.writeUInt16BE(message.length - headerLength, 2);
  message.writeUInt32BE(magicCookie, 4);
  message.set(txid.subarray(0, txidLength), 8);
}

function unmapped(address: Uint8Array): Uint8Array {
  const mapped =
    address.length === 16 &&
    address.subarray(0, 10).every((byte) => byte === 0) &&
    address[10] === 0xff &&
    address[11] === 0xff;
  return mapped ? address.subarray(12) : address;
}
