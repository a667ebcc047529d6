import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { anyAddr, anyPrefix, anyRange } from "./arbitrary.test-data.ts";
import type { Addr, AddrRange } from "./index.ts";
import {
  addrAdd,
  addrToBigInt,
  formatPrefix,
  formatRange,
  IpSet,
  parseAddr,
  parsePrefix,
  parseRange,
  prefixToRange,
} from "./index.ts";

// The model: a list of ranges, asked one by one.
function modelContains(ranges: readonly AddrRange[], addr: Addr): boolean {
  const value = addrToBigInt(addr);
  return ranges.some(
    (r) => r.from.family === addr.family && addrToBigInt(r.from) <= value && value <= addrToBigInt(r.to),
  );
}

/** The addresses at which the answer of a set made of these ranges can change, and their neighbours. */
function borders(...lists: readonly (readonly AddrRange[])[]): Addr[] {
  return lists
    .flat()
    .flatMap(({ from, to }) => [from, addrAdd(from, -1), addrAdd(from, 1), to, addrAdd(to, 1), addrAdd(to, -1)])
    .filter((addr) => addr !== undefined);
}

const anyRanges = fc.array(anyRange, { maxLength: 8 });

function set(...texts: readonly string[]): IpSet {
  return IpSet.ofRanges(
    texts.map((text) => {
      const range = parseRange(text);
      assert.ok(range !== undefined, text);
      return range;
    }),
  );
}

suite("sets of addresses", () => {
  test("membership is that of the ranges put in", () => {
    fc.assert(
      fc.property(anyRanges, anyAddr, (ranges, addr) => {
        const made = IpSet.ofRanges(ranges);
        for (const probe of [addr, ...borders(ranges)]) {
          assert.equal(made.contains(probe), modelContains(ranges, probe));
        }
      }),
    );
  });

  test("union, intersection and difference answer as the two sets together would", () => {
    fc.assert(
      fc.property(anyRanges, anyRanges, (x, y) => {
        const [a, b] = [IpSet.ofRanges(x), IpSet.ofRanges(y)];
        const [both, either, only] = [a.intersect(b), a.union(b), a.subtract(b)];
        for (const probe of borders(x, y)) {
          const [inX, inY] = [modelContains(x, probe), modelContains(y, probe)];
          assert.equal(either.contains(probe), inX || inY);
          assert.equal(both.contains(probe), inX && inY);
          assert.equal(only.contains(probe), inX && !inY);
        }
        assert.equal(a.overlapsSet(b), !both.isEmpty);
        assert.equal(either.size, a.size + b.size - both.size);
        assert.ok(only.union(both).equals(a));
        assert.ok(either.subtract(b).equals(only));
      }),
    );
  });

  test("equal sets have equal ranges, however they were made", () => {
    fc.assert(
      fc.property(anyRanges, (ranges) => {
        const made = IpSet.ofRanges(ranges);
        assert.ok(IpSet.ofRanges(ranges.toReversed()).equals(made));
        assert.ok(IpSet.ofPrefixes(made.prefixes()).equals(made));
        assert.ok(IpSet.builder().addSet(made).build().equals(made));
        assert.deepEqual(IpSet.ofRanges(made.ranges()).ranges(), made.ranges());
        for (const [index, range] of made.ranges().entries()) {
          const next = made.ranges()[index + 1];
          if (next !== undefined && next.from.family === range.from.family) {
            assert.ok(addrToBigInt(next.from) > addrToBigInt(range.to) + 1n, "ranges neither overlap nor touch");
          }
        }
      }),
    );
  });

  test("covers and overlaps of a prefix are those of intersections", () => {
    fc.assert(
      fc.property(anyRanges, anyPrefix, (ranges, prefix) => {
        const made = IpSet.ofRanges(ranges);
        const one = IpSet.ofPrefixes([prefix]);
        assert.equal(made.overlaps(prefix), !made.intersect(one).isEmpty);
        assert.equal(made.covers(prefix), one.subtract(made).isEmpty);
        assert.equal(made.coversRange(prefixToRange(prefix)), made.covers(prefix));
      }),
    );
  });

  test("the whole of a family minus one address leaves both sides, and the ends hold", () => {
    const all = set("0.0.0.0/0", "::/0");
    assert.deepEqual(all.subtract(set("10.0.0.1", "::")).ranges().map(formatRange), [
      "0.0.0.0-10.0.0.0",
      "10.0.0.2-255.255.255.255",
      "::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ]);
    assert.ok(all.subtract(all).isEmpty);
    assert.ok(all.subtract(set("0.0.0.0/0", "::/0")).isEmpty);
    assert.equal(all.size, 2n ** 32n + 2n ** 128n);
    assert.ok(set("0.0.0.0/1", "128.0.0.0/1").equals(set("0.0.0.0/0")));
  });

  test("prefixes are the fewest and sorted, IPv4 first", () => {
    const made = set("fd00::/64", "10.0.0.0-10.0.0.6", "10.0.0.7", "192.168.0.0/24", "192.168.1.0/24");
    assert.deepEqual(made.prefixes().map(formatPrefix), ["10.0.0.0/29", "192.168.0.0/23", "fd00::/64"]);
    assert.equal(made.prefixes(), made.prefixes());
  });

  test("an empty set holds nothing", () => {
    const addr = parseAddr("10.0.0.1");
    const prefix = parsePrefix("0.0.0.0/0");
    assert.ok(addr !== undefined && prefix !== undefined);
    assert.ok(IpSet.empty.isEmpty && !IpSet.empty.contains(addr) && !IpSet.empty.overlaps(prefix));
    assert.equal(IpSet.of().union(IpSet.empty), IpSet.empty);
    assert.equal(IpSet.of(addr).size, 1n);
  });
});
