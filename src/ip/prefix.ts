// An address with a number of leading bits. Host bits are kept as given, as in Go's netip; `maskPrefix` clears them,
// and every question about which addresses lie inside ignores them.
import type { Addr } from "./addr.ts";
import { compareAddr, equalAddr, formatAddr, parseAddr } from "./addr.ts";

/** Host bits are kept as given; `maskPrefix` clears them. */
export interface Prefix {
  readonly addr: Addr;
  /** 0 … 32 for IPv4, 0 … 128 for IPv6. */
  readonly bits: number;
}

/** 0.0.0.0/0. */
export const exitRouteV4: Prefix = { addr: { family: 4, a: 0 }, bits: 0 };
/** ::/0. */
export const exitRouteV6: Prefix = { addr: { family: 6, a: 0, b: 0, c: 0, d: 0 }, bits: 0 };

/** How many bits an address of this family has. */
export function addrBits(addr: Addr): number {
  return addr.family === 4 ? 32 : 128;
}

/** The prefix that holds this address alone. */
export function hostPrefix(addr: Addr): Prefix {
  return { addr, bits: addrBits(addr) };
}

/** Reads `10.0.0.0/8`; no leading zeros, signs or zones. Undefined when the text is not exactly a prefix. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.lastIndexOf("/");
  const digits = text.length - slash - 1;
  if (slash === -1 || digits < 1 || digits > 3) {
    return undefined;
  }
  let bits = 0;
  for (let i = slash + 1; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9 || (i > slash + 1 && bits === 0)) {
      return undefined;
    }
    bits = bits * 10 + digit;
  }
  const addr = parseAddr(text.slice(0, slash));
  return addr === undefined || bits > addrBits(addr) ? undefined : { addr, bits };
}

/** Reads a prefix, or an address as the prefix that holds it alone. */
export function parsePrefixOrAddr(text: string): Prefix | undefined {
  if (text.includes("/")) {
    return parsePrefix(text);
  }
  const addr = parseAddr(text);
  return addr === undefined ? undefined : hostPrefix(addr);
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatAddr(prefix.addr)}/${prefix.bits}`;
}

/** The mask of one 32-bit word when `bits` leading bits are left for it and all words after it. */
export function wordMask(bits: number): number {
  return bits <= 0 ? 0 : bits >= 32 ? 0xffffffff : (0xffffffff << (32 - bits)) >>> 0;
}

/** The lowest address inside: the address with its host bits cleared. */
export function prefixFirst(prefix: Prefix): Addr {
  const { addr, bits } = prefix;
  return addr.family === 4
    ? { family: 4, a: (addr.a & wordMask(bits)) >>> 0 }
    : {
        family: 6,
        a: (addr.a & wordMask(bits)) >>> 0,
        b: (addr.b & wordMask(bits - 32)) >>> 0,
        c: (addr.c & wordMask(bits - 64)) >>> 0,
        d: (addr.d & wordMask(bits - 96)) >>> 0,
      };
}

/** The highest address inside. */
export function prefixLast(prefix: Prefix): Addr {
  const { addr, bits } = prefix;
  return addr.family === 4
    ? { family: 4, a: (addr.a | ~wordMask(bits)) >>> 0 }
    : {
        family: 6,
        a: (addr.a | ~wordMask(bits)) >>> 0,
        b: (addr.b | ~wordMask(bits - 32)) >>> 0,
        c: (addr.c | ~wordMask(bits - 64)) >>> 0,
        d: (addr.d | ~wordMask(bits - 96)) >>> 0,
      };
}

/** The prefix without host bits; the same object when it has none. */
export function maskPrefix(prefix: Prefix): Prefix {
  const addr = prefixFirst(prefix);
  return equalAddr(addr, prefix.addr) ? prefix : { addr, bits: prefix.bits };
}

/** Is the address inside? Never across families; an IPv4-mapped address is not inside an IPv4 prefix. */
export function prefixContains(prefix: Prefix, addr: Addr): boolean {
  const { addr: base, bits } = prefix;
  if (base.family === 4) {
    return addr.family === 4 && ((base.a ^ addr.a) & wordMask(bits)) === 0;
  }
  return (
    addr.family === 6 &&
    (((base.a ^ addr.a) & wordMask(bits)) |
      ((base.b ^ addr.b) & wordMask(bits - 32)) |
      ((base.c ^ addr.c) & wordMask(bits - 64)) |
      ((base.d ^ addr.d) & wordMask(bits - 96))) ===
      0
  );
}

/** Is every address of `inner` inside `outer`? */
export function prefixCovers(outer: Prefix, inner: Prefix): boolean {
  return outer.bits <= inner.bits && prefixContains(outer, inner.addr);
}

export function prefixOverlaps(x: Prefix, y: Prefix): boolean {
  return x.bits <= y.bits ? prefixContains(x, y.addr) : prefixContains(y, x.addr);
}

/** IPv4 before IPv6, then by masked address, by length, and last by the address as given: Go's order. */
export function comparePrefix(x: Prefix, y: Prefix): number {
  return compareAddr(prefixFirst(x), prefixFirst(y)) || x.bits - y.bits || compareAddr(x.addr, y.addr);
}

/** The same address, host bits included, and the same length. */
export function equalPrefix(x: Prefix, y: Prefix): boolean {
  return x.bits === y.bits && equalAddr(x.addr, y.addr);
}

/** 0.0.0.0/0 or ::/0: what an exit node advertises. */
export function isExitRoute(prefix: Prefix): boolean {
  return prefix.bits === 0;
}
