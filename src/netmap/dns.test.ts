import assert from "node:assert/strict";
import { test } from "node:test";
import type { CapMap } from "../wire/tailcfg.ts";
import { dnsConfig, dnsConfigFor, isPerNode, reverseZones } from "./dns.ts";
import { prefix, sampleNode, testSettings } from "./tailnet.test-data.ts";

const quiet = {
  magicDns: false,
  nameservers: [],
  split: {},
  search: [],
  overrideLocal: false,
  extraRecords: [],
} as const;

test("MagicDNS answers the reverse zones of the node addresses itself", () => {
  const config = dnsConfig({ ...quiet, magicDns: true }, testSettings);
  assert.equal(config.Proxied, true);
  const zones = Object.keys(config.Routes ?? {});
  assert.equal(zones.length, 65);
  assert.deepEqual(
    [zones[0], zones[63], zones[64]],
    ["64.100.in-addr.arpa", "127.100.in-addr.arpa", "0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa"],
  );
  assert.ok(Object.values(config.Routes ?? {}).every((list) => list.length === 0));
});

test("reverse zones end at a label, or are as many as the prefix needs", () => {
  assert.deepEqual(reverseZones(prefix("10.0.0.0/8")), ["10.in-addr.arpa"]);
  assert.deepEqual(reverseZones(prefix("192.168.2.0/24")), ["2.168.192.in-addr.arpa"]);
  assert.deepEqual(reverseZones(prefix("192.168.2.4/31")), ["4.2.168.192.in-addr.arpa", "5.2.168.192.in-addr.arpa"]);
  assert.deepEqual(reverseZones(prefix("fd00::/7")).slice(0, 3), ["c.f.ip6.arpa", "d.f.ip6.arpa"]);
  assert.deepEqual(reverseZones(prefix("10.9.8.7/8")), ["10.in-addr.arpa"]);
});

test("without MagicDNS nothing is proxied and no zone is claimed", () => {
  assert.deepEqual(dnsConfig({ ...quiet, nameservers: ["9.9.9.9"] }, testSettings), {
    FallbackResolvers: [{ Addr: "9.9.9.9" }],
    Domains: ["tail.example.com"],
  });
});

test("global resolvers override those of the system, or stand in for them", () => {
  const nameservers = ["1.1.1.1", "2606:4700::1111"];
  const over = dnsConfig({ ...quiet, nameservers, overrideLocal: true }, testSettings);
  assert.deepEqual(over.Resolvers, [{ Addr: "1.1.1.1" }, { Addr: "2606:4700::1111" }]);
  assert.equal(over.FallbackResolvers, undefined);
  const under = dnsConfig({ ...quiet, nameservers }, testSettings);
  assert.deepEqual(under.FallbackResolvers, [{ Addr: "1.1.1.1" }, { Addr: "2606:4700::1111" }]);
  assert.equal(under.Resolvers, undefined);
});

test("split DNS, search domains and extra records go out as configured", () => {
  const record = { Name: "grafana.tail.example.com", Type: "A", Value: "100.64.0.9" };
  const config = dnsConfig(
    {
      ...quiet,
      split: { "corp.example.com": ["10.0.0.53", "10.0.1.53"] },
      search: ["a.example"],
      extraRecords: [record],
    },
    testSettings,
  );
  assert.deepEqual(config.Routes, { "corp.example.com": [{ Addr: "10.0.0.53" }, { Addr: "10.0.1.53" }] });
  assert.deepEqual(config.Domains, ["tail.example.com", "a.example"]);
  assert.deepEqual(config.ExtraRecords, [record]);
});

const nextDns = dnsConfig(
  { ...quiet, nameservers: ["https://dns.nextdns.io/abc", "1.1.1.1"], overrideLocal: true },
  testSettings,
);

test("only NextDNS makes the configuration differ from node to node", () => {
  const plain = dnsConfig(testSettings.dns, testSettings);
  assert.equal(isPerNode(plain), false);
  assert.equal(dnsConfigFor(plain, sampleNode(1), {}), plain);
  assert.equal(isPerNode(nextDns), true);
  const lookalike = dnsConfig({ ...quiet, nameservers: ["https://dns.nextdns.io.example/abc"] }, testSettings);
  assert.equal(isPerNode(lookalike), false);
});

test("NextDNS is asked with the device's name, model and address", () => {
  const node = sampleNode(7, { hostinfo: { OS: "macOS", Hostname: "Ada's Mac" } });
  assert.deepEqual(dnsConfigFor(nextDns, node, {}).Resolvers, [
    { Addr: "https://dns.nextdns.io/abc?device_ip=100.64.0.7&device_model=macOS&device_name=Ada%27s+Mac" },
    { Addr: "1.1.1.1" },
  ]);
});

test("node attributes choose the NextDNS profile and silence the device data", () => {
  const first = (caps: CapMap) => dnsConfigFor(nextDns, sampleNode(7), caps).Resolvers?.[0]?.Addr;
  assert.equal(first({ "nextdns:no-device-info": null }), "https://dns.nextdns.io/abc");
  assert.equal(
    first({ "nextdns:zed": null, "nextdns:kid": null, "nextdns:no-device-info": null }),
    "https://dns.nextdns.io/kid",
  );
  assert.equal(first({ "nextdns:no/slash": null, "nextdns:no-device-info": null }), "https://dns.nextdns.io/abc");
});
