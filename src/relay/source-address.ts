// Addresses of peers as sockets tell them ("192.0.2.1", "::ffff:192.0.2.1", "fe80::1%eth0"): to one canonical text per
// host, and to bytes.
import { formatPrefix, isV4, maskPrefix, parseAddr, type Addr } from "../ip/index.ts";

/** Text without zone, v4-mapped addresses as IPv4. What is no address (a Unix socket's "") comes back as it is. */
export function canonicalAddress(text: string): string {
  const zone = text.indexOf("%");
  const bare = zone < 0 ? text : text.slice(0, zone);
  return bare.startsWith("::ffff:") && bare.includes(".") ? bare.slice("::ffff:".length) : bare;
}

/** What counts as one place where places are counted: whoever has one IPv6 address has the 2^64 of its network. */
export function placeOf(canonical: string): string {
  const addr = parseAddr(canonical);
  return addr === undefined || isV4(addr) ? canonical : formatPrefix(maskPrefix({ addr, bits: 64 }));
}

/** True for addresses of this very host, where a proxy would stand. */
export function isLoopback(canonical: string): boolean {
  return canonical.startsWith("127.") || canonical === "::1" || canonical === "";
}

/** 4 or 16 bytes, v4-mapped addresses as 4; undefined when the text is no address. */
export function addressBytes(text: string): Buffer | undefined {
  const addr = parseAddr(canonicalAddress(text));
  return addr === undefined ? undefined : bytesOf(addr);
}

/** 16 bytes, IPv4 as v4-mapped; all zero when the text is no address (protocol §8.2, PeerPresent). */
export function addressBytes16(text: string): Buffer {
  const bytes = addressBytes(text) ?? Buffer.alloc(16);
  return bytes.length === 16 ? bytes : Buffer.concat([Buffer.from("00000000000000000000ffff", "hex"), bytes]);
}

function bytesOf(addr: Addr): Buffer {
  const words = addr.family === 4 ? [addr.a] : [addr.a, addr.b, addr.c, addr.d];
  const bytes = Buffer.alloc(4 * words.length);
  words.forEach((word, i) => bytes.writeUInt32BE(word >>> 0, 4 * i));
  return bytes;
}
