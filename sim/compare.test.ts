import assert from "node:assert/strict";
import { test } from "node:test";
import type { MapResponse } from "../src/wire/tailcfg.ts";
import { compareNetmaps } from "./compare.ts";
import { NetmapModel } from "./netmap-model.ts";

function model(peer: Readonly<Record<string, unknown>>, rest: Readonly<Record<string, unknown>> = {}): NetmapModel {
  const made = new NetmapModel();
  const self = { ID: 1, Name: "a.", Addresses: [], AllowedIPs: [], Endpoints: rest["selfEndpoints"] };
  made.apply({ Node: self, Peers: [{ ID: 2, Name: "b.", Addresses: [], ...peer }], ...rest } as unknown as MapResponse);
  return made;
}

test("equal netmaps have no differences, nor do forms that mean the same", () => {
  const full = { Tags: ["tag:a"], CapMap: { x: null }, Online: true };
  assert.deepEqual(compareNetmaps(model(full), model(full)), []);
  assert.deepEqual(
    compareNetmaps(
      model({ Online: true, Tags: null, KeyExpiry: "0001-01-01T00:00:00Z", LastSeen: "2026-01-01T00:00:00Z" }),
      model({ Online: true, Endpoints: [] }),
    ),
    [],
  );
  assert.deepEqual(compareNetmaps(model({}, { selfEndpoints: [] }), model({}, { selfEndpoints: ["1.2.3.4:5"] })), []);
});

test("every other difference is found and named", () => {
  const cases: readonly (readonly [NetmapModel, NetmapModel, string])[] = [
    [model({ Online: true }), model({ Online: false }), "peer 2 Online"],
    [
      model({ Endpoints: ["1.2.3.4:5", "1.2.3.4:6"] }),
      model({ Endpoints: ["1.2.3.4:6", "1.2.3.4:5"] }),
      "peer 2 Endpoints",
    ],
    [model({ CapMap: { a: [1] } }), model({ CapMap: { a: [2] } }), "peer 2 CapMap"],
    [model({ Online: false, LastSeen: "2026-01-01T00:00:00Z" }), model({ Online: false }), "peer 2 wasSeen"],
    [model({}, { Domain: "x" }), model({}, { Domain: "y" }), "domain "],
    [model({}, { PacketFilter: [{ SrcIPs: ["*"] }] }), model({}), "filter "],
    [model({}), model({}, { UserProfiles: [{ ID: 3 }] }), "user 3 "],
    [model({}), model({ ID: 3 }), "peer 2 "],
  ];
  for (const [had, fresh, expected] of cases) {
    const found = compareNetmaps(had, fresh).map(({ where, field }) => `${where} ${field}`);
    assert.ok(found.includes(expected), `${expected} in ${found.join()}`);
  }
});
