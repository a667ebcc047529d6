// An immutable set of addresses of both families, kept as sorted ranges. Questions are answered by binary search;
// union, intersection and difference are linear in the number of ranges.
import type { Addr } from "./addr.ts";
import type { Prefix } from "./prefix.ts";
import { prefixFirst, prefixLast } from "./prefix.ts";
import type { AddrRange } from "./range.ts";
import { rangesToPrefixes } from "./range.ts";
import type { Spans } from "./spans.ts";
import {
  countSpans,
  equalSpans,
  intersectSpans,
  isAtMost,
  normalSpans,
  noSpans,
  spanAtOrAfter,
  subtractSpans,
  unionSpans,
} from "./spans.ts";

export class IpSet {
  static readonly empty: IpSet = new IpSet(noSpans, noSpans);

  readonly #v4: Spans;
  readonly #v6: Spans;
  #ranges: readonly AddrRange[] | undefined;
  #prefixes: readonly Prefix[] | undefined;

  /** Use `IpSet.of`, `ofPrefixes`, `ofRanges` or a builder: the spans must be in normal form. */
  private constructor(v4: Spans, v6: Spans) {
    this.#v4 = v4;
    this.#v6 = v6;
  }

  static of(...addrs: readonly Addr[]): IpSet {
    const builder = new IpSetBuilder();
    for (const addr of addrs) {
      builder.add(addr);
    }
    return builder.build();
  }

  static ofPrefixes(prefixes: readonly Prefix[]): IpSet {
    const builder = new IpSetBuilder();
    for (const prefix of prefixes) {
      builder.addPrefix(prefix);
    }
    return builder.build();
  }

  static ofRanges(ranges: readonly AddrRange[]): IpSet {
    const builder = new IpSetBuilder();
    for (const range of ranges) {
      builder.addRange(range);
    }
    return builder.build();
  }

  static builder(): IpSetBuilder {
    return new IpSetBuilder();
  }

  /** For the builder: spans as collected, in any order. */
  static fromWords(v4: readonly number[], v6: readonly number[]): IpSet {
    return IpSet.#make(normalSpans(v4, 1), normalSpans(v6, 4));
  }

  static #make(v4: Spans, v6: Spans): IpSet {
    return v4.length === 0 && v6.length === 0 ? IpSet.empty : new IpSet(v4, v6);
  }

  get isEmpty(): boolean {
    return this.#v4.length === 0 && this.#v6.length === 0;
  }

  /** How many addresses. */
  get size(): bigint {
    return countSpans(this.#v4, 1) + countSpans(this.#v6, 4);
  }

  union(other: IpSet): IpSet {
    if (other.isEmpty || other === this) {
      return this;
    }
    return this.isEmpty ? other : new IpSet(unionSpans(this.#v4, other.#v4, 1), unionSpans(this.#v6, other.#v6, 4));
  }

  intersect(other: IpSet): IpSet {
    return other === this
      ? this
      : IpSet.#make(intersectSpans(this.#v4, other.#v4, 1), intersectSpans(this.#v6, other.#v6, 4));
  }

  subtract(other: IpSet): IpSet {
    return other.isEmpty
      ? this
      : IpSet.#make(subtractSpans(this.#v4, other.#v4, 1), subtractSpans(this.#v6, other.#v6, 4));
  }

  equals(other: IpSet): boolean {
    return this === other || (equalSpans(this.#v4, other.#v4) && equalSpans(this.#v6, other.#v6));
  }

  contains(addr: Addr): boolean {
    return this.#covers(addr, addr);
  }

  /** Is every address of the prefix in the set? */
  covers(prefix: Prefix): boolean {
    return this.#covers(prefixFirst(prefix), prefixLast(prefix));
  }

  /** Is every address of the range in the set? */
  coversRange(range: AddrRange): boolean {
    return this.#covers(range.from, range.to);
  }

  /** Is any address of the prefix in the set? */
  overlaps(prefix: Prefix): boolean {
    const from = prefixFirst(prefix);
    const to = prefixLast(prefix);
    const found = this.#spanFor(from);
    const spans = this.#spans(from);
    return found < spans.length && startsBy(spans, found, to);
  }

  /** Do the two have an address in common? */
  overlapsSet(other: IpSet): boolean {
    return !this.intersect(other).isEmpty;
  }

  /** Sorted, disjoint, not adjacent; IPv4 first. The same array every time. */
  ranges(): readonly AddrRange[] {
    this.#ranges ??= [...rangesV4(this.#v4), ...rangesV6(this.#v6)];
    return this.#ranges;
  }

  /** The fewest prefixes that make up the set, sorted; IPv4 first. The same array every time. */
  prefixes(): readonly Prefix[] {
    this.#prefixes ??= rangesToPrefixes(this.ranges());
    return this.#prefixes;
  }

  #spans(addr: Addr): Spans {
    return addr.family === 4 ? this.#v4 : this.#v6;
  }

  /** Where the first span that does not end below `addr` begins. */
  #spanFor(addr: Addr): number {
    return addr.family === 4
      ? spanAtOrAfter(this.#v4, 1, addr.a, 0, 0, 0)
      : spanAtOrAfter(this.#v6, 4, addr.a, addr.b, addr.c, addr.d);
  }

  #covers(from: Addr, to: Addr): boolean {
    const found = this.#spanFor(to);
    const spans = this.#spans(to);
    return found < spans.length && startsBy(spans, found, from);
  }
}

/** Does the span at `start` begin at `addr` or before it? */
function startsBy(spans: Spans, start: number, addr: Addr): boolean {
  return addr.family === 4
    ? isAtMost(spans, start, 1, addr.a, 0, 0, 0)
    : isAtMost(spans, start, 4, addr.a, addr.b, addr.c, addr.d);
}

function* rangesV4(spans: Spans): Generator<AddrRange> {
  for (let i = 0; i < spans.length; i += 2) {
    yield { from: { family: 4, a: spans[i] ?? 0 }, to: { family: 4, a: spans[i + 1] ?? 0 } };
  }
}

function* rangesV6(spans: Spans): Generator<AddrRange> {
  for (let i = 0; i < spans.length; i += 8) {
    yield { from: addrAt(spans, i), to: addrAt(spans, i + 4) };
  }
}

function addrAt(spans: Spans, i: number): Addr {
  return { family: 6, a: spans[i] ?? 0, b: spans[i + 1] ?? 0, c: spans[i + 2] ?? 0, d: spans[i + 3] ?? 0 };
}

/** Collects addresses, prefixes, ranges and sets in any order. */
export class IpSetBuilder {
  readonly #v4: number[] = [];
  readonly #v6: number[] = [];

  add(addr: Addr): this {
    this.#push(addr, addr);
    return this;
  }

  addPrefix(prefix: Prefix): this {
    this.#push(prefixFirst(prefix), prefixLast(prefix));
    return this;
  }

  addRange(range: AddrRange): this {
    this.#push(range.from, range.to);
    return this;
  }

  addSet(set: IpSet): this {
    for (const range of set.ranges()) {
      this.addRange(range);
    }
    return this;
  }

  build(): IpSet {
    return IpSet.fromWords(this.#v4, this.#v6);
  }

  #push(from: Addr, to: Addr): void {
    if (from.family === 4 && to.family === 4) {
      this.#v4.push(from.a, to.a);
    } else if (from.family === 6 && to.family === 6) {
      this.#v6.push(from.a, from.b, from.c, from.d, to.a, to.b, to.c, to.d);
    } else {
      throw new TypeError("a range of addresses lies in one family");
    }
  }
}
