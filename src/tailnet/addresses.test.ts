import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { type Addr, formatAddr, parseAddr, prefixContains } from "../ip/index.ts";
import { addrText, defined, prefix, seededSecrets } from "../../test/tailnet-rig.ts";
import { AddressTable } from "./addresses.ts";

function table(order: "sequential" | "random"): AddressTable {
  const tools = seededSecrets(5);
  return new AddressTable(order, (count) => tools.randomBytes(count));
}

function all(addresses: AddressTable, pool: string): string[] {
  const found: string[] = [];
  for (let addr = addresses.allocate(prefix(pool)); addr !== undefined; addr = addresses.allocate(prefix(pool))) {
    found.push(formatAddr(addr));
  }
  return found;
}

for (const order of ["sequential", "random"] as const) {
  test(`${order}: a small prefix is given out whole, its first and last address apart, and then is an error`, () => {
    assert.deepEqual(
      all(table(order), "100.64.3.0/29").sort(),
      [1, 2, 3, 4, 5, 6].map((last) => `100.64.3.${last}`),
    );
    assert.deepEqual(all(table(order), "100.64.3.0/31"), []);
    assert.deepEqual(all(table(order), "100.64.3.0/32"), []);
    assert.equal(all(table(order), "fd7a:115c:a1e0:1::/124").length, 14);
  });

  test(`${order}: reserved addresses are never given out`, () => {
    const addresses = table(order);
    for (const pool of ["100.100.100.0/24", "100.100.0.0/24", "100.115.92.0/23", "100.101.102.103/32"]) {
      assert.deepEqual(all(addresses, pool), []);
    }
    const around = all(addresses, "100.100.96.0/21");
    assert.equal(around.length, 2048 - 256 - 2);
    assert.equal(
      around.some((text) => text.startsWith("100.100.100.")),
      false,
    );
    assert.equal(all(addresses, "100.101.102.96/28").includes("100.101.102.103"), false);
    assert.equal(all(addresses, "fd7a:115c:a1e0::40/122").includes("fd7a:115c:a1e0::53"), false);
    assert.deepEqual(all(addresses, "fd7a:115c:a1e0:b1a::/120"), []);
  });

  test(`${order}: an address that is freed can be had again, also in a full prefix`, () => {
    const addresses = table(order);
    const given = all(addresses, "100.64.3.0/28");
    for (const text of [given[3], given[9]]) {
      addresses.free(defined(parseAddr(defined(text))));
    }
    assert.deepEqual(new Set(all(addresses, "100.64.3.0/28")), new Set([given[3], given[9]]));
  });

  test(`${order}: no address is given twice, whatever is freed in between`, () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom("100.64.0.0/28", "100.64.0.0/27", "100.100.99.240/27") },
      { weight: 1, arbitrary: fc.nat({ max: 40 }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const addresses = table(order);
        const held: Addr[] = [];
        for (const one of steps) {
          if (typeof one === "number") {
            const [addr] = held.splice(one, 1);
            if (addr !== undefined) {
              addresses.free(addr);
            }
            continue;
          }
          const addr = addresses.allocate(prefix(one));
          if (addr === undefined) {
            const usable = one.endsWith("/28") ? 14 : one.startsWith("100.100") ? 15 : 30;
            const inside = held.filter((other) => prefixContains(prefix(one), other));
            assert.ok(inside.length >= usable, `${one} has room left`);
            continue;
          }
          assert.equal(
            held.some((other) => formatAddr(other) === formatAddr(addr)),
            false,
            addrText(addr),
          );
          held.push(addr);
        }
      }),
    );
  });
}

test("the sequential order goes up from the bottom, over what is taken", () => {
  const addresses = table("sequential");
  addresses.take(defined(parseAddr("100.64.0.2")));
  const next = () => addrText(defined(addresses.allocate(prefix("100.64.0.0/10"))));
  assert.deepEqual([next(), next(), next()], ["100.64.0.1", "100.64.0.3", "100.64.0.4"]);
  addresses.free(defined(parseAddr("100.64.0.1")));
  assert.equal(next(), "100.64.0.5", "a freed address comes last");
});

test("many addresses are found without many tries", () => {
  let draws = 0;
  const tools = seededSecrets(5);
  const addresses = new AddressTable("random", (count) => {
    draws++;
    return tools.randomBytes(count);
  });
  for (let count = 0; count < 5_000; count++) {
    assert.notEqual(addresses.allocate(prefix("100.64.0.0/10")), undefined);
  }
  assert.ok(draws < 5_100, `${draws} draws`);
});

test("more addresses are freed than are remembered, and each can be had again", () => {
  const addresses = table("sequential");
  const given = all(addresses, "100.64.0.0/18");
  assert.equal(given.length, 16_382);
  for (const text of given) {
    addresses.free(defined(parseAddr(text)));
  }
  assert.deepEqual(new Set(all(addresses, "100.64.0.0/18")), new Set(given));
});
