import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import ipaddr from "ipaddr.js";
import { anyAddr, anyV6 } from "./arbitrary.test-data.ts";
import {
  addrAdd,
  addrKey,
  addrNext,
  addrPrev,
  addrToBigInt,
  addrV4,
  addrV6,
  compareAddr,
  equalAddr,
  formatAddr,
  isV4,
  isV6,
  parseAddr,
} from "./index.ts";

suite("addresses", () => {
  test("texts that Go's netip accepts are read", () => {
    const canonical: Readonly<Record<string, string>> = {
      "1.2.3.4": "1.2.3.4",
      "0.0.0.0": "0.0.0.0",
      "255.255.255.255": "255.255.255.255",
      "::": "::",
      "::1": "::1",
      "1::": "1::",
      "FD7A:115C:A1E0::0001": "fd7a:115c:a1e0::1",
      "1:2:3:4:5:6:7:8": "1:2:3:4:5:6:7:8",
      "1:2:3:4:5:6:7::": "1:2:3:4:5:6:7:0",
      "::2:3:4:5:6:7:8": "0:2:3:4:5:6:7:8",
      "1:0:0:4:0:0:0:8": "1:0:0:4::8",
      "1:0:0:4:5:0:0:8": "1::4:5:0:0:8",
      "::ffff:1.2.3.4": "::ffff:1.2.3.4",
      "::ffff:102:304": "::ffff:1.2.3.4",
      "1:2:3:4:5:6:1.2.3.4": "1:2:3:4:5:6:102:304",
      "64:ff9b::1.2.3.4": "64:ff9b::102:304",
    };
    for (const [text, expected] of Object.entries(canonical)) {
      const addr = parseAddr(text);
      assert.ok(addr !== undefined, text);
      assert.equal(formatAddr(addr), expected);
    }
  });

  test("texts that Go's netip refuses are refused", () => {
    const refused = [
      ..." |1|1.2.3|1.2.3.4.5|1.2.3.|.1.2.3|1..2.3|01.2.3.4|1.2.3.04|256.1.1.1|1.2.3.4 | 1.2.3.4|1.2.3.a".split("|"),
      ..."+1.2.3.4|:|:::|::1::|1:2|1:2:3:4:5:6:7|1:2:3:4:5:6:7:8:9|1:2:3:4:5:6:7:8::|12345::|g::|fe80::1%eth0".split(
        "|",
      ),
      ..."[::1]|::1.2.3|::1.2.3.4.5|::1.2.3.4:1|1:2:3:4:5:6:7:1.2.3.4|1:|:1|::ffff:01.2.3.4|1::2:|0x1.2.3.4".split("|"),
      "1:2:3:4::5:6:7:8",
      "",
      "1".repeat(1000),
    ];
    for (const text of refused) {
      assert.equal(parseAddr(text), undefined, text);
    }
  });

  test("text and address are each other's inverse, as ipaddr.js sees them too", () => {
    fc.assert(
      fc.property(anyAddr, (addr) => {
        const text = formatAddr(addr);
        assert.deepEqual(parseAddr(text), addr);
        const other = ipaddr.parse(text);
        assert.equal(other.kind(), addr.family === 4 ? "ipv4" : "ipv6");
        assert.equal(bytesToBigInt(other.toByteArray()), addrToBigInt(addr));
        if (!text.startsWith("::ffff:")) {
          assert.equal(other instanceof ipaddr.IPv6 ? other.toRFC5952String() : other.toString(), text);
        }
      }),
    );
  });

  test("the long form of an IPv6 address is the same address", () => {
    fc.assert(
      fc.property(anyV6, (addr) => {
        const long = ipaddr.parse(formatAddr(addr)).toNormalizedString();
        assert.deepEqual(parseAddr(long), addr);
        assert.deepEqual(parseAddr(long.toUpperCase()), addr);
      }),
    );
  });

  test("any text is either refused or read like ipaddr.js reads it", () => {
    const alphabet = fc.constantFrom(..."0123456789abcdef:::..%/ fF".split(""));
    fc.assert(
      fc.property(fc.string({ unit: alphabet, maxLength: 24 }), (text) => {
        const addr = parseAddr(text);
        if (addr !== undefined) {
          assert.equal(bytesToBigInt(ipaddr.parse(text).toByteArray()), addrToBigInt(addr));
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("order and equality are those of the numbers, IPv4 first", () => {
    fc.assert(
      fc.property(anyAddr, anyAddr, (x, y) => {
        const expected =
          x.family === y.family
            ? Number(addrToBigInt(x) > addrToBigInt(y)) - Number(addrToBigInt(x) < addrToBigInt(y))
            : x.family - y.family;
        assert.equal(Math.sign(compareAddr(x, y)), Math.sign(expected));
        assert.equal(equalAddr(x, y), expected === 0);
        assert.equal(addrKey(x) === addrKey(y), expected === 0);
        assert.equal(isV4(x), x.family === 4);
        assert.equal(isV6(x), x.family === 6);
      }),
    );
  });

  test("adding goes over word borders and stops at the ends of the family", () => {
    fc.assert(
      fc.property(anyAddr, fc.bigInt({ min: -(2n ** 130n), max: 2n ** 130n }), (addr, count) => {
        const sum = addrToBigInt(addr) + count;
        const inside = sum >= 0n && sum < 2n ** (addr.family === 4 ? 32n : 128n);
        const result = addrAdd(addr, count);
        assert.equal(result === undefined ? undefined : addrToBigInt(result), inside ? sum : undefined);
      }),
    );
    fc.assert(
      fc.property(anyAddr, fc.maxSafeInteger(), (addr, count) => {
        assert.deepEqual(addrAdd(addr, count), addrAdd(addr, BigInt(count)));
      }),
    );
    assert.equal(addrNext(addrV4(0xffffffff)), undefined);
    assert.equal(addrPrev(addrV4(0)), undefined);
    assert.deepEqual(addrNext(addrV6(1, 2, 0xffffffff, 0xffffffff)), addrV6(1, 3, 0, 0));
    assert.deepEqual(addrPrev(addrV6(1, 0, 0, 0)), addrV6(0, 0xffffffff, 0xffffffff, 0xffffffff));
  });
});

function bytesToBigInt(bytes: readonly number[]): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
