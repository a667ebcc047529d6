import assert from "node:assert/strict";
import { test } from "node:test";
import type { RouteShare } from "../policy/engine.ts";
import { taggedDevicesUserId, type UserId } from "../wire/ids.ts";
import { peerHostinfo } from "./hostinfo.ts";
import { isExpired, ownerOf, peerBody, presenceOf, profileOf, selfNode } from "./node-picture.ts";
import { prefix, sampleNode, startOfTime, testSettings } from "./tailnet.test-data.ts";
import { timeText } from "./texts.ts";

const subnet = prefix("10.1.0.0/16");
const other = prefix("10.0.0.0/16");
const exits = [prefix("0.0.0.0/0"), prefix("::/0")];
const router = sampleNode(5, { routes: [...exits, other, subnet], primaryRoutes: [subnet] });

function share(fields: Partial<RouteShare>): RouteShare {
  return { id: 0, ifPrimary: [], always: [], withoutIPv4: false, ...fields };
}

test("a peer is told with its addresses and with the routes that are elected or told always, in one order", () => {
  const peer = peerBody(router, share({ ifPrimary: [subnet, other], always: exits }), undefined, testSettings);
  assert.deepEqual(peer.Addresses, ["100.64.0.5/32", "fd7a:115c:a1e0::5/128"]);
  assert.deepEqual(peer.AllowedIPs, ["0.0.0.0/0", "10.1.0.0/16", "100.64.0.5/32", "::/0", "fd7a:115c:a1e0::5/128"]);
  assert.deepEqual(peer.PrimaryRoutes, ["10.1.0.0/16"]);
});

test("a route steered to a viewer is told whether elected or not, and once", () => {
  const peer = peerBody(router, share({ ifPrimary: [subnet], always: [subnet, other] }), undefined, testSettings);
  assert.deepEqual(peer.PrimaryRoutes, ["10.0.0.0/16", "10.1.0.0/16"]);
  assert.equal(peer.AllowedIPs.filter((route) => route === "10.1.0.0/16").length, 1);
});

test("who is told a peer without IPv4 still gets its routes", () => {
  const peer = peerBody(router, share({ ifPrimary: [subnet], withoutIPv4: true }), undefined, testSettings);
  assert.deepEqual(peer.Addresses, ["fd7a:115c:a1e0::5/128"]);
  assert.deepEqual(peer.AllowedIPs, ["10.1.0.0/16", "fd7a:115c:a1e0::5/128"]);
});

test("a peer carries its own capability version, and nothing that only it should know", () => {
  const peer = peerBody(sampleNode(9, { capVersion: 118 }), share({}), undefined, testSettings);
  assert.equal(peer.Cap, 118);
  assert.equal(peer.Name, "host-9.tail.example.com.");
  assert.deepEqual(
    Object.keys(peer).filter((name) => ["Machine", "CapMap", "KeyExpiry", "Tags", "PrimaryRoutes"].includes(name)),
    [],
  );
});

test("endpoints are said even when there are none, and an unknown home is not", () => {
  const peer = peerBody(sampleNode(9, { endpoints: [], homeDerp: 0 }), share({}), undefined, testSettings);
  assert.deepEqual(peer.Endpoints, []);
  assert.equal("HomeDERP" in peer, false);
});

test("Online is always said, LastSeen only of who is offline", () => {
  const lastSeen = startOfTime;
  assert.deepEqual(presenceOf(sampleNode(1, { online: true, lastSeen })), { Online: true });
  assert.deepEqual(presenceOf(sampleNode(1, { online: false, lastSeen })), {
    Online: false,
    LastSeen: "2026-11-20T12:00:00Z",
  });
  assert.deepEqual(presenceOf(sampleNode(1)), { Online: false });
});

test("a tagged node belongs to the pseudo-user of tagged devices", () => {
  assert.equal(ownerOf(sampleNode(1, { userId: null, tags: ["tag:web"] })), taggedDevicesUserId);
  assert.deepEqual(profileOf(taggedDevicesUserId, undefined), {
    ID: taggedDevicesUserId,
    LoginName: "tagged-devices",
    DisplayName: "Tagged Devices",
  });
  assert.equal(profileOf(4 as UserId, undefined), undefined);
});

test("the node itself gets its elected routes, its exit routes and the server's attributes under the policy's", () => {
  const self = selfNode(router, { "randomize-client-port": null, "default-auto-update": [true] }, testSettings);
  assert.equal(self.MachineAuthorized, true);
  assert.deepEqual(self.PrimaryRoutes, ["10.1.0.0/16"]);
  assert.deepEqual(self.AllowedIPs, ["0.0.0.0/0", "10.1.0.0/16", "100.64.0.5/32", "::/0", "fd7a:115c:a1e0::5/128"]);
  assert.deepEqual(self.CapMap, {
    "https://tailscale.com/cap/is-admin": [],
    "https://tailscale.com/cap/ssh": [],
    "https://tailscale.com/cap/file-sharing": [],
    "default-auto-update": [true],
    "randomize-client-port": null,
  });
});

test("disable-ipv4 takes a node's own IPv4 address from what it is told", () => {
  const self = selfNode(sampleNode(5), { "disable-ipv4": null }, testSettings);
  assert.deepEqual(self.Addresses, ["fd7a:115c:a1e0::5/128"]);
  assert.deepEqual(self.AllowedIPs, ["fd7a:115c:a1e0::5/128"]);
});

test("without Taildrop no node may share files", () => {
  const self = selfNode(sampleNode(5), {}, { ...testSettings, taildrop: false });
  assert.equal("https://tailscale.com/cap/file-sharing" in (self.CapMap ?? {}), false);
});

test("a key expires at its expiry, not after", () => {
  assert.equal(isExpired(sampleNode(1, { expiry: 1000 }), 999), false);
  assert.equal(isExpired(sampleNode(1, { expiry: 1000 }), 1000), true);
  assert.equal(isExpired(sampleNode(1, { expiry: null }), 1000), false);
});

test("peers are told what they need of a machine and nothing else", () => {
  const told = peerHostinfo({
    OS: "linux",
    OSVersion: "6.1",
    Hostname: "web1",
    DeviceModel: "secret",
    RoutableIPs: ["10.0.0.0/8"],
    NetInfo: { PreferredDERP: 3 },
    Services: [
      { Proto: "peerapi4", Port: 3000, Description: "x" },
      { Proto: "tcp", Port: 22 },
      { Proto: "peerapi6", Port: 70_000 },
    ],
    sshHostKeys: ["ssh-ed25519 AAAA"],
    extra: { PushDeviceToken: "token" },
  });
  assert.deepEqual(told, {
    OS: "linux",
    Hostname: "web1",
    Services: [{ Proto: "peerapi4", Port: 3000 }],
    sshHostKeys: ["ssh-ed25519 AAAA"],
  });
});

test("a machine cannot make its peers' maps undecodable or huge", () => {
  const told = peerHostinfo({
    Hostname: "h".repeat(10_000),
    sshHostKeys: Array.from({ length: 100 }, () => "k".repeat(1000)),
    Location: { Country: 5, City: "Bern", Latitude: "north", Priority: 1.5 },
  });
  assert.equal(told.Hostname?.length, 256);
  assert.equal(told.sshHostKeys?.length, 4);
  assert.deepEqual(told.Location, { City: "Bern" });
  assert.equal("Location" in peerHostinfo({ Location: ["Bern"] }), false);
  for (const Priority of [1e300, 2 ** 63, -1e21]) {
    assert.equal("Location" in peerHostinfo({ Location: { Priority } }), false, "clients read it into 64 bits");
  }
});

test("times are whole seconds in UTC and never of a year that clients cannot read", () => {
  assert.equal(timeText(startOfTime + 999), "2026-11-20T12:00:00Z");
  assert.equal(timeText(8e15), "9999-12-31T00:00:00Z");
  assert.equal(timeText(Number.NaN), "9999-12-31T00:00:00Z");
  assert.equal(timeText(-62_135_596_800_000), "1970-01-01T00:00:00Z");
});
