import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { addrV4, addrV6, IpSet, parsePrefix, type Addr } from "../ip/index.ts";
import { AddressList } from "./address-list.ts";

/** Few addresses, so that they are often neighbours, doubles or both; enough for a long list. */
const address = fc.oneof(
  fc.nat(150).map((host) => addrV4(0x64400000 + host)),
  fc
    .nat(60)
    .map((host) => addrV6(0xfd7a115c, 0xa1e00000, host > 30 ? 1 : 0, host > 30 ? host - 31 : 0xffffffe1 + host)),
);
const prefix = parsePrefix("100.64.0.32/27");
const sets = [IpSet.empty, IpSet.ofPrefixes(prefix === undefined ? [] : [prefix])];

test("a list kept up to date address by address reads as one made at once", () => {
  fc.assert(
    fc.property(
      fc.array(address, { minLength: 40, maxLength: 120 }),
      fc.array(fc.tuple(fc.boolean(), address), { maxLength: 120 }),
      fc.constantFrom(...sets),
      (start, changes, more) => {
        const list = new AddressList(start, more);
        const held: Addr[] = [...start];
        list.texts();
        for (const [adds, addr] of changes) {
          if (adds) {
            held.push(addr);
            list.add(addr);
          } else {
            const gone = held.splice(held.indexOf(addr) === -1 ? 0 : held.indexOf(addr), 1)[0];
            if (gone !== undefined) {
              list.remove(gone);
            }
          }
          assert.deepEqual(list.texts(), new AddressList(held, more).texts());
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("a long list folds neighbours, a short one names them one by one", () => {
  const addresses = Array.from({ length: 70 }, (_, host) => addrV4(0x64400000 + host));
  const list = new AddressList(addresses);
  assert.deepEqual(list.texts(), ["100.64.0.0-100.64.0.69"]);
  list.remove(addrV4(0x64400003));
  assert.deepEqual(list.texts(), ["100.64.0.0-100.64.0.2", "100.64.0.4-100.64.0.69"]);
  list.add(addrV4(0x64400003));
  assert.deepEqual(list.texts(), ["100.64.0.0-100.64.0.69"]);
  addresses.slice(0, 10).forEach((addr) => list.remove(addr));
  assert.equal(list.texts().length, 60);
});
