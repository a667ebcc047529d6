import assert from "node:assert/strict";
import { test } from "node:test";
import type { MapResponse } from "../src/wire/tailcfg.ts";
import { NetmapModel } from "./netmap-model.ts";
import { messageFaults, netmapFaults } from "./strict.ts";

const key = (digit: string): string => `nodekey:${digit.repeat(64)}`;
const node = (id: number, fields: Readonly<Record<string, unknown>> = {}) => ({
  ID: id,
  StableID: `n${id}CNTRL`,
  Name: `n${id}.example.net.`,
  User: 1,
  Key: key(String(id)),
  Addresses: [`100.64.0.${id}/32`],
  AllowedIPs: [`100.64.0.${id}/32`],
  Online: true,
  MachineAuthorized: true,
  ...fields,
});
const message = (fields: Readonly<Record<string, unknown>>): MapResponse => fields;

/** A message with everything in it, as it should be. */
const good = message({
  Node: node(1, { KeyExpiry: "2027-01-01T00:00:00Z", CapMap: { "https://x": null, y: [1, "a"] } }),
  DERPMap: {
    Regions: {
      "900": {
        RegionID: 900,
        RegionCode: "o",
        RegionName: "Own",
        Nodes: [{ Name: "900a", RegionID: 900, HostName: "h", IPv4: "192.0.2.1" }],
      },
    },
  },
  Peers: [
    node(2, {
      Endpoints: ["192.0.2.1:1", "[2001:db8::1]:2"],
      HomeDERP: 900,
      Hostinfo: { OS: "linux", Services: [{ Proto: "peerapi4", Port: 1 }] },
      AllowedIPs: ["100.64.0.2/32", "10.0.0.0/8"],
      PrimaryRoutes: ["10.0.0.0/8"],
    }),
  ],
  DNSConfig: { Routes: { "example.net.": null }, Domains: ["example.net"], Proxied: true },
  PacketFilters: {
    base: [
      {
        SrcIPs: ["*", "100.64.0.0-100.64.0.9", "10.0.0.0/8"],
        DstPorts: [{ IP: "*", Ports: { First: 0, Last: 65_535 } }],
      },
    ],
  },
  UserProfiles: [{ ID: 1, LoginName: "a", DisplayName: "A" }],
  SSHPolicy: { rules: [] },
  ControlTime: "2026-08-22T10:00:00Z",
});

test("a good message has no faults, alone and in a netmap", () => {
  assert.deepEqual(messageFaults(good), []);
  const netmap = new NetmapModel();
  netmap.apply(good);
  assert.deepEqual(netmapFaults(netmap), []);
});

test("shapes that Go would not decode are faults, with their place", () => {
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, RegExp])[] = [
    [{ Node: node(1, { Key: "" }) }, /^\.Node\.Key: not a nodekey key/],
    [{ Node: node(1, { KeyExpiry: "" }) }, /KeyExpiry: not a time/],
    [{ Node: node(1, { ID: "1" }) }, /Node\.ID: not an id/],
    [{ Node: node(1, { Name: "n1" }) }, /trailing dot/],
    [{ Peers: [node(2, { Endpoints: ["192.0.2.1:99999"] })] }, /Peers\[0\]\.Endpoints\[0\]/],
    [{ Peers: [node(2, { Hostinfo: { Services: [{ Proto: "tcp", Port: 70_000 }] } })] }, /Port: not a port/],
    [{ Peers: [node(2, { Onlin: true })] }, /Onlin: no such field/],
    [{ OnlineChange: { x: true } }, /OnlineChange: a bad name/],
    [{ PeersChangedPatch: [{ NodeID: 0 }] }, /NodeID: not an id/],
    [{ PacketFilter: [{ SrcIPs: ["10.0.0.1/8"] }] }, /SrcIPs\[0\]/],
    [{ PacketFilter: [{ SrcIPs: [], SrcBits: [8] }] }, /SrcBits: no such field/],
    [{ SSHPolicy: { rules: [{ action: { sessionDuration: "1h" } }] } }, /sessionDuration/],
    [{ Debug: true }, /\.Debug: not an object/],
    [{ Peers: {} }, /\.Peers: not a list/],
  ];
  for (const [fields, expected] of cases) {
    const [fault] = messageFaults(message(fields));
    assert.match(fault ?? "", expected);
  }
});

test("rules that clients rely on are held", () => {
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, RegExp])[] = [
    [{ KeepAlive: true }, /quirk 55/],
    [{ Peers: [] }, /quirk 6/],
    [{ PeersChanged: [node(2)], PeersRemoved: [2] }, /quirk 42/],
    [{ PeersChanged: [node(2), node(2)] }, /twice/],
    [{ PeersChanged: [node(2, { Online: undefined })] }, /quirk 17/],
    [{ PeersChanged: [node(2, { AllowedIPs: ["10.0.0.0/8"] })] }, /quirk 12/],
    [{ PeersChanged: [node(2, { PrimaryRoutes: ["10.0.0.0/8"] })] }, /quirk 14/],
    [{ Node: node(1, { MachineAuthorized: undefined }) }, /quirk 25/],
  ];
  for (const [fields, expected] of cases) {
    const faults = messageFaults(JSON.parse(JSON.stringify(fields)) as MapResponse);
    assert.ok(
      faults.some((fault) => expected.test(fault)),
      `${expected}: ${faults.join()}`,
    );
  }
});

test("a netmap with a lost profile, a doubled key or two primaries is found", () => {
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, RegExp])[] = [
    [{ PeersChanged: [node(3, { User: 7 })] }, /quirk 26/],
    [{ PeersChanged: [node(3, { Key: key("2") })] }, /quirk 40/],
    [
      { PeersChanged: [node(3, { AllowedIPs: ["100.64.0.3/32", "10.0.0.0/8"], PrimaryRoutes: ["10.0.0.0/8"] })] },
      /quirk 14/,
    ],
    [{ PeersChanged: [node(1)] }, /its own peer/],
  ];
  for (const [fields, expected] of cases) {
    const netmap = new NetmapModel();
    netmap.apply(good);
    netmap.apply(message(fields));
    assert.ok(netmapFaults(netmap).some((fault) => expected.test(fault)));
  }
});
