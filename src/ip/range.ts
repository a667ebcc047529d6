// From one address to another of the same family, both included; `from` is never above `to`.
import type { Addr } from "./addr.ts";
import { compareAddr, equalAddr, formatAddr, parseAddr } from "./addr.ts";
import type { Prefix } from "./prefix.ts";
import { formatPrefix, hostPrefix, parsePrefixOrAddr, prefixFirst, prefixLast } from "./prefix.ts";

export interface AddrRange {
  readonly from: Addr;
  readonly to: Addr;
}

/** Reads `a-b`, a prefix (host bits are ignored) or a single address. */
export function parseRange(text: string): AddrRange | undefined {
  const dash = text.indexOf("-");
  if (dash === -1) {
    const prefix = parsePrefixOrAddr(text);
    return prefix === undefined ? undefined : prefixToRange(prefix);
  }
  const from = parseAddr(text.slice(0, dash));
  const to = parseAddr(text.slice(dash + 1));
  if (from === undefined || to === undefined || from.family !== to.family || compareAddr(from, to) > 0) {
    return undefined;
  }
  return { from, to };
}

/** A single address, else the prefix that is exactly this range, else `a-b`: how filters on the wire name ranges. */
export function formatRange(range: AddrRange): string {
  if (equalAddr(range.from, range.to)) {
    return formatAddr(range.from);
  }
  const prefix = exactPrefix(range.from, range.to);
  return prefix === undefined ? `${formatAddr(range.from)}-${formatAddr(range.to)}` : formatPrefix(prefix);
}

export function equalRange(x: AddrRange, y: AddrRange): boolean {
  return equalAddr(x.from, y.from) && equalAddr(x.to, y.to);
}

export function prefixToRange(prefix: Prefix): AddrRange {
  return { from: prefixFirst(prefix), to: prefixLast(prefix) };
}

/** How many leading bits the two have in common. */
function commonBits(x: Addr, y: Addr): number {
  const first = Math.clz32(x.a ^ y.a);
  if (x.family === 4 || y.family === 4 || first < 32) {
    return first;
  }
  const second = Math.clz32(x.b ^ y.b);
  if (second < 32) {
    return 32 + second;
  }
  const third = Math.clz32(x.c ^ y.c);
  return third < 32 ? 64 + third : 96 + Math.clz32(x.d ^ y.d);
}

/** The one prefix that is this range, if there is one. */
function exactPrefix(from: Addr, to: Addr): Prefix | undefined {
  const prefix = { addr: from, bits: commonBits(from, to) };
  return equalAddr(prefixFirst(prefix), from) && equalAddr(prefixLast(prefix), to) ? prefix : undefined;
}

function appendPrefixes(from: Addr, to: Addr, out: Prefix[]): void {
  const exact = exactPrefix(from, to);
  if (exact !== undefined) {
    out.push(exact);
    return;
  }
  // The two differ at bit `common`: split where that bit turns from 0 to 1. Depth is at most the address's bits.
  const half = { addr: from, bits: commonBits(from, to) + 1 };
  appendPrefixes(from, prefixLast(half), out);
  appendPrefixes(prefixFirst({ addr: to, bits: half.bits }), to, out);
}

/** The fewest prefixes that make up the range, in ascending order. */
export function rangeToPrefixes(range: AddrRange): Prefix[] {
  if (equalAddr(range.from, range.to)) {
    return [hostPrefix(range.from)];
  }
  const out: Prefix[] = [];
  appendPrefixes(range.from, range.to, out);
  return out;
}

/** The prefixes of each range in turn. The fewest when the ranges are sorted, disjoint and not adjacent (as in a set). */
export function rangesToPrefixes(ranges: readonly AddrRange[]): Prefix[] {
  const out: Prefix[] = [];
  for (const { from, to } of ranges) {
    appendPrefixes(from, to, out);
  }
  return out;
}
