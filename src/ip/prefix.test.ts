import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import ipaddr from "ipaddr.js";
import { anyAddr, anyPrefix, anyRange } from "./arbitrary.test-data.ts";
import type { Prefix } from "./index.ts";
import {
  addrToBigInt,
  comparePrefix,
  equalPrefix,
  formatAddr,
  formatPrefix,
  formatRange,
  isExitRoute,
  maskPrefix,
  parsePrefix,
  parsePrefixOrAddr,
  parseRange,
  prefixContains,
  prefixCovers,
  prefixFirst,
  prefixLast,
  prefixOverlaps,
  prefixToRange,
  rangeToPrefixes,
} from "./index.ts";

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  assert.ok(parsed !== undefined, text);
  return parsed;
}

suite("prefixes", () => {
  test("a text and its prefix are each other's inverse, host bits included", () => {
    fc.assert(fc.property(anyPrefix, (p) => assert.deepEqual(parsePrefix(formatPrefix(p)), p)));
    assert.equal(formatPrefix(prefix("10.1.2.3/8")), "10.1.2.3/8");
    assert.equal(formatPrefix(maskPrefix(prefix("10.1.2.3/8"))), "10.0.0.0/8");
    assert.equal(formatPrefix(maskPrefix(prefix("fd7a:115c:a1e0:ab12::1/48"))), "fd7a:115c:a1e0::/48");
  });

  test("texts that Go's netip refuses are refused", () => {
    for (const text of "10.0.0.0|10.0.0.0/|10.0.0.0/33|10.0.0.0/08|10.0.0.0/+8|10.0.0.0/-1|::/129|::/1000|/8|1.2.3.4/8/8|fe80::1%a/64|10.0.0.0/8 ".split(
      "|",
    )) {
      assert.equal(parsePrefix(text), undefined, text);
    }
    assert.deepEqual(parsePrefixOrAddr("10.0.0.1"), prefix("10.0.0.1/32"));
    assert.deepEqual(parsePrefixOrAddr("::1"), prefix("::1/128"));
    assert.equal(parsePrefixOrAddr("10.0.0"), undefined);
  });

  test("contains, covers and overlaps agree with the numbers and with ipaddr.js", () => {
    fc.assert(
      fc.property(anyPrefix, anyAddr, (p, addr) => {
        const [first, last] = [addrToBigInt(prefixFirst(p)), addrToBigInt(prefixLast(p))];
        const value = addrToBigInt(addr);
        const inside = p.addr.family === addr.family && first <= value && value <= last;
        assert.equal(prefixContains(p, addr), inside);
        if (p.addr.family === addr.family) {
          const net = ipaddr.parse(formatAddr(p.addr));
          const one = ipaddr.parse(formatAddr(addr));
          assert.equal(
            net instanceof ipaddr.IPv4
              ? one instanceof ipaddr.IPv4 && one.match(net, p.bits)
              : one instanceof ipaddr.IPv6 && one.match(net, p.bits),
            inside,
          );
        }
      }),
    );
    fc.assert(
      fc.property(anyPrefix, anyPrefix, (x, y) => {
        const same = x.addr.family === y.addr.family;
        const [xf, xl, yf, yl] = [prefixFirst(x), prefixLast(x), prefixFirst(y), prefixLast(y)].map(addrToBigInt);
        assert.ok(xf !== undefined && xl !== undefined && yf !== undefined && yl !== undefined);
        assert.equal(prefixCovers(x, y), same && xf <= yf && yl <= xl);
        assert.equal(prefixOverlaps(x, y), same && xf <= yl && yf <= xl);
        assert.equal(equalPrefix(x, y), formatPrefix(x) === formatPrefix(y));
        assert.equal(comparePrefix(x, y) === 0, equalPrefix(x, y));
        // A sum, for of two equal prefixes one side would be 0 and the other -0.
        assert.equal(Math.sign(comparePrefix(x, y)) + Math.sign(comparePrefix(y, x)), 0);
      }),
    );
  });

  test("sorting is by family, network, length", () => {
    const sorted = [
      "0.0.0.0/0",
      "10.0.0.0/8",
      "10.0.0.0/16",
      "10.0.0.1/32",
      "100.64.0.0/10",
      "::/0",
      "::1/128",
      "fd00::/8",
    ];
    const shuffled = sorted.toReversed().map(prefix).sort(comparePrefix);
    assert.deepEqual(shuffled.map(formatPrefix), sorted);
  });

  test("only the two prefixes of length 0 are exit routes", () => {
    assert.deepEqual(
      ["0.0.0.0/0", "::/0", "0.0.0.0/1", "::/1", "10.0.0.0/8"].map((text) => isExitRoute(prefix(text))),
      [true, true, false, false, false],
    );
  });
});

suite("ranges", () => {
  test("texts are single addresses, exact prefixes, or two ends", () => {
    const texts: Readonly<Record<string, string>> = {
      "10.0.0.1": "10.0.0.1",
      "10.0.0.1/32": "10.0.0.1",
      "10.0.0.0-10.0.0.255": "10.0.0.0/24",
      "10.0.0.7/24": "10.0.0.0/24",
      "10.0.0.1-10.0.0.2": "10.0.0.1-10.0.0.2",
      "0.0.0.0-255.255.255.255": "0.0.0.0/0",
      "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": "::/0",
      "fd00::1-fd00::5": "fd00::1-fd00::5",
    };
    for (const [text, expected] of Object.entries(texts)) {
      const range = parseRange(text);
      assert.ok(range !== undefined, text);
      assert.equal(formatRange(range), expected);
    }
    for (const text of [
      "10.0.0.2-10.0.0.1",
      "10.0.0.1-::1",
      "10.0.0.1-",
      "-10.0.0.1",
      "-",
      "",
      "1.2.3.4-1.2.3.5-1.2.3.6",
    ]) {
      assert.equal(parseRange(text), undefined, text);
    }
    fc.assert(fc.property(anyRange, (range) => assert.deepEqual(parseRange(formatRange(range)), range)));
  });

  test("a range is made of prefixes without gap, and of the fewest", () => {
    fc.assert(
      fc.property(anyRange, (range) => {
        const prefixes = rangeToPrefixes(range);
        let next = addrToBigInt(range.from);
        for (const p of prefixes) {
          assert.deepEqual(maskPrefix(p), p);
          assert.equal(addrToBigInt(prefixFirst(p)), next);
          next = addrToBigInt(prefixLast(p)) + 1n;
        }
        assert.equal(next - 1n, addrToBigInt(range.to));
        for (const [index, p] of prefixes.entries()) {
          const other = prefixes[index + 1];
          if (other !== undefined && other.bits === p.bits) {
            // Two of one length side by side could be one prefix only if aligned: then they would not be the fewest.
            assert.ok(!prefixContains({ addr: p.addr, bits: p.bits - 1 }, other.addr));
          }
        }
      }),
    );
    fc.assert(fc.property(anyPrefix, (p) => assert.deepEqual(rangeToPrefixes(prefixToRange(p)), [maskPrefix(p)])));
  });
});
