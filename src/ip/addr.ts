// One IP address. An IPv4 address is one uint32, an IPv6 address four; an IPv4-mapped IPv6 address stays IPv6, as in
// Go's netip, whose reading of texts this follows: no leading zeros, no zones, no brackets. Text out is RFC 5952.

/** An IPv4 address as one uint32, an IPv6 address as four; v4-mapped IPv6 is kept as IPv6. */
export type Addr =
  | { readonly family: 4; readonly a: number }
  | { readonly family: 6; readonly a: number; readonly b: number; readonly c: number; readonly d: number };

/** The address with this uint32 (other numbers are taken modulo 2^32). */
export function addrV4(a: number): Addr {
  return { family: 4, a: a >>> 0 };
}

/** The address with these four uint32 words, most significant first. */
export function addrV6(a: number, b: number, c: number, d: number): Addr {
  return { family: 6, a: a >>> 0, b: b >>> 0, c: c >>> 0, d: d >>> 0 };
}

export function isV4(addr: Addr): boolean {
  return addr.family === 4;
}

export function isV6(addr: Addr): boolean {
  return addr.family === 6;
}

const dot = 0x2e;
const colon = 0x3a;
const zero = 0x30;

/** The longest text of an address: eight groups of four, or six groups and a dotted quad. */
const maxAddrText = 45;

/** Reads `1.2.3.4`, `fd7a::1` or `::ffff:1.2.3.4`; undefined when the text is not exactly one address. */
export function parseAddr(text: string): Addr | undefined {
  if (text.length > maxAddrText) {
    return undefined;
  }
  for (let i = 0; i < text.length && i < 5; i++) {
    const c = text.charCodeAt(i);
    if (c === dot) {
      const a = parseQuad(text, 0);
      return a === -1 ? undefined : { family: 4, a };
    }
    if (c === colon) {
      return parseV6(text);
    }
  }
  return undefined;
}

/** The dotted quad that fills `text` from `start` to its end as a uint32, or -1. */
function parseQuad(text: string, start: number): number {
  let value = 0;
  let field = 0;
  let digits = 0;
  let fields = 0;
  for (let i = start; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === dot) {
      if (digits === 0 || fields === 3) {
        return -1;
      }
      value = value * 256 + field;
      field = 0;
      digits = 0;
      fields++;
      continue;
    }
    const digit = c - zero;
    if (digit < 0 || digit > 9 || (digits > 0 && field === 0)) {
      return -1;
    }
    field = field * 10 + digit;
    digits++;
    if (field > 255) {
      return -1;
    }
  }
  return digits === 0 || fields !== 3 ? -1 : value * 256 + field;
}

function hexDigit(c: number): number {
  if (c >= 0x30 && c <= 0x39) {
    return c - 0x30;
  }
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

// Filled and read within one synchronous call, so one set of words serves all.
const groups = new Uint16Array(8);

function parseV6(text: string): Addr | undefined {
  const end = text.length;
  let at = 0;
  let count = 0;
  // Where `::` stands, as the number of groups before it; -1: nowhere.
  let gap = -1;
  if (text.charCodeAt(0) === colon) {
    if (text.charCodeAt(1) !== colon) {
      return undefined;
    }
    gap = 0;
    at = 2;
  }
  while (at < end) {
    if (count === 8) {
      return undefined;
    }
    const start = at;
    let value = 0;
    while (at < end) {
      const digit = hexDigit(text.charCodeAt(at));
      if (digit === -1) {
        break;
      }
      value = value * 16 + digit;
      at++;
      if (at - start > 4) {
        return undefined;
      }
    }
    if (at === start) {
      return undefined;
    }
    if (at < end && text.charCodeAt(at) === dot) {
      const quad = count <= 6 ? parseQuad(text, start) : -1;
      if (quad === -1) {
        return undefined;
      }
      groups[count++] = quad >>> 16;
      groups[count++] = quad & 0xffff;
      at = end;
      break;
    }
    groups[count++] = value;
    if (at === end) {
      break;
    }
    if (text.charCodeAt(at) !== colon || at + 1 === end) {
      return undefined;
    }
    at++;
    if (text.charCodeAt(at) === colon) {
      if (gap !== -1) {
        return undefined;
      }
      gap = count;
      at++;
    }
  }
  return fromGroups(count, gap);
}

/** The first `count` of `groups` with zeros put in at `gap`. A gap must stand for one group at least. */
function fromGroups(count: number, gap: number): Addr | undefined {
  if (gap === -1 ? count !== 8 : count > 7) {
    return undefined;
  }
  if (count < 8) {
    groups.copyWithin(8 - (count - gap), gap, count);
    groups.fill(0, gap, 8 - (count - gap));
  }
  return { family: 6, a: word(0), b: word(2), c: word(4), d: word(6) };
}

function word(index: number): number {
  return (((groups[index] ?? 0) << 16) | (groups[index + 1] ?? 0)) >>> 0;
}

function formatQuad(a: number): string {
  return `${a >>> 24}.${(a >>> 16) & 255}.${(a >>> 8) & 255}.${a & 255}`;
}

/** The canonical text (RFC 5952); IPv4-mapped addresses as `::ffff:1.2.3.4`. */
export function formatAddr(addr: Addr): string {
  if (addr.family === 4) {
    return formatQuad(addr.a);
  }
  if (addr.a === 0 && addr.b === 0 && addr.c === 0xffff) {
    return `::ffff:${formatQuad(addr.d)}`;
  }
  return formatV6(addr.a, addr.b, addr.c, addr.d);
}

function formatV6(a: number, b: number, c: number, d: number): string {
  groups[0] = a >>> 16;
  groups[1] = a;
  groups[2] = b >>> 16;
  groups[3] = b;
  groups[4] = c >>> 16;
  groups[5] = c;
  groups[6] = d >>> 16;
  groups[7] = d;
  // RFC 5952 §4.2: `::` stands for the first of the longest runs of zeros, never for a single group.
  let gap = -1;
  let gapLength = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) {
      end++;
    }
    if (end - i > gapLength) {
      gap = i;
      gapLength = end - i;
    }
    i = Math.max(i, end);
  }
  let text = "";
  for (let i = 0; i < 8; i++) {
    if (i === gap) {
      text += "::";
      i += gapLength - 1;
      continue;
    }
    if (i > 0 && i !== gap + gapLength) {
      text += ":";
    }
    text += (groups[i] ?? 0).toString(16);
  }
  return text;
}

/** IPv4 before IPv6, then by value: Go's order. Negative, 0 or positive. */
export function compareAddr(x: Addr, y: Addr): number {
  if (x.family === 4) {
    return y.family === 4 ? x.a - y.a : -1;
  }
  if (y.family === 4) {
    return 1;
  }
  return x.a - y.a || x.b - y.b || x.c - y.c || x.d - y.d;
}

export function equalAddr(x: Addr, y: Addr): boolean {
  return x.a === y.a && (x.family === 4 ? y.family === 4 : y.family === 6 && x.b === y.b && x.c === y.c && x.d === y.d);
}

/**
 * A key for a Map or Set: equal addresses have equal keys. Numbers for IPv4, 8 code units for IPv6, which may be lone
 * surrogates: for use in memory only, never in a file or a message.
 */
export function addrKey(addr: Addr): number | string {
  return addr.family === 4
    ? addr.a
    : String.fromCharCode(
        addr.a >>> 16,
        addr.a & 0xffff,
        addr.b >>> 16,
        addr.b & 0xffff,
        addr.c >>> 16,
        addr.c & 0xffff,
        addr.d >>> 16,
        addr.d & 0xffff,
      );
}

/** The address after this one; undefined after the last of the family. */
export function addrNext(addr: Addr): Addr | undefined {
  return addrAdd(addr, 1);
}

/** The address before this one; undefined before the first of the family. */
export function addrPrev(addr: Addr): Addr | undefined {
  return addrAdd(addr, -1);
}

const two32 = 2 ** 32;

/** The address `count` further on (or back); undefined outside the family. `count` is a safe integer or a bigint. */
export function addrAdd(addr: Addr, count: number | bigint): Addr | undefined {
  if (typeof count === "bigint") {
    return addBig(addr, count);
  }
  if (addr.family === 4) {
    const a = addr.a + count;
    return a < 0 || a >= two32 ? undefined : { family: 4, a };
  }
  // Small steps inside the last word are what allocators do all day.
  const d = addr.d + count;
  return d >= 0 && d < two32 ? { family: 6, a: addr.a, b: addr.b, c: addr.c, d } : addBig(addr, BigInt(count));
}

function addBig(addr: Addr, count: bigint): Addr | undefined {
  const value = addrToBigInt(addr) + count;
  const bits = addr.family === 4 ? 32n : 128n;
  if (value < 0n || value >> bits !== 0n) {
    return undefined;
  }
  return addr.family === 4
    ? { family: 4, a: Number(value) }
    : addrV6(bigWord(value, 96n), bigWord(value, 64n), bigWord(value, 32n), bigWord(value, 0n));
}

function bigWord(value: bigint, shift: bigint): number {
  return Number((value >> shift) & 0xffffffffn);
}

/** The address as one number. */
export function addrToBigInt(addr: Addr): bigint {
  return addr.family === 4
    ? BigInt(addr.a)
    : (BigInt(addr.a) << 96n) | (BigInt(addr.b) << 64n) | (BigInt(addr.c) << 32n) | BigInt(addr.d);
}
