// Addresses, prefixes and ranges for property tests: crowded around few values, so that they meet, overlap and touch.
import * as fc from "fast-check";
import type { Addr, AddrRange, Prefix } from "./index.ts";
import { compareAddr } from "./index.ts";

const word = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(0, 1, 2, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff) },
  { weight: 1, arbitrary: fc.nat({ max: 0xffffffff }) },
);

export const anyV4: fc.Arbitrary<Addr> = word.map((a): Addr => ({ family: 4, a }));
export const anyV6: fc.Arbitrary<Addr> = fc
  .tuple(word, word, word, word)
  .map(([a, b, c, d]): Addr => ({ family: 6, a, b, c, d }));
export const anyAddr: fc.Arbitrary<Addr> = fc.oneof(anyV4, anyV6);

export const anyPrefix: fc.Arbitrary<Prefix> = fc.oneof(
  fc.record({ addr: anyV4, bits: fc.nat({ max: 32 }) }, { noNullPrototype: true }),
  fc.record({ addr: anyV6, bits: fc.nat({ max: 128 }) }, { noNullPrototype: true }),
);

function ordered([x, y]: readonly [Addr, Addr]): AddrRange {
  return compareAddr(x, y) <= 0 ? { from: x, to: y } : { from: y, to: x };
}
export const anyRange: fc.Arbitrary<AddrRange> = fc.oneof(
  fc.tuple(anyV4, anyV4).map(ordered),
  fc.tuple(anyV6, anyV6).map(ordered),
);
