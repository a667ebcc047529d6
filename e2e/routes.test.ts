// Subnet routers and exit nodes with real clients: approval, failover between two routers of one prefix, withdrawal.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Client } from "./client.ts";
import { until } from "./netns.ts";
import type { Host } from "./netns.ts";
import { PlainTailnet, programsOrReason } from "./plain-tailnet.ts";
import { serveTailnetPage } from "./web.ts";

const programs = programsOrReason();
const skip = typeof programs === "string" ? programs : false;
const advertise = ["--advertise-routes=192.168.77.0/24", "--accept-routes"];

const worldAddress = "203.0.113.9";

let tailnet: PlainTailnet;
let routerA: Client;
let routerB: Client;
let client: Client;
let inside: Host;

before(async () => {
  if (typeof programs === "string") {
    return;
  }
  tailnet = new PlainTailnet("routes");
  await tailnet.start();
  inside = tailnet.lab.host("inside", { office: "192.168.77.9/24" });
  await serveTailnetPage(inside, "inside the office");
  // Exit nodes do not carry traffic to private or directly connected networks, so the world is a public address that
  // only router A knows the way to.
  const world = tailnet.host("world");
  world.ip(["addr", "add", `${worldAddress}/32`, "dev", "lo"]);
  await serveTailnetPage(world, "the world");
  const hostA = tailnet.host("routera", { office: "192.168.77.1/24" });
  const hostB = tailnet.host("routerb", { office: "192.168.77.2/24" });
  hostA.ip(["route", "add", worldAddress, "via", "10.10.0.2"]);
  for (const host of [hostA, hostB]) {
    await host.run("sysctl", ["-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
  }
  routerA = await tailnet.join("routera", programs, { host: hostA, up: advertise });
  routerB = await tailnet.join("routerb", programs, { host: hostB, up: advertise });
  client = await tailnet.join("client", programs, { up: ["--accept-routes"] });
});

after(() => tailnet?.close());

/** Who carries the office for the client right now, by its netmap. */
async function primary(): Promise<string | undefined> {
  const peers = await client.peers();
  return peers.find((peer) => peer.PrimaryRoutes?.includes("192.168.77.0/24"))?.HostName;
}

function officePage(): Promise<true | undefined> {
  return pageAt("192.168.77.9");
}

/** Something answers there for the client, if only with a refusal. */
async function pageAt(address: string): Promise<true | undefined> {
  // Subnet traffic is masqueraded by the router, so the office sees one of its own.
  const page = await client.host.run(
    "curl",
    ["-s", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", `http://${address}/`],
    { check: false },
  );
  return page.stdout === "403" || page.stdout === "200" ? true : undefined;
}

async function approve(name: string, routes: string): Promise<void> {
  const node = await tailnet.node(name);
  await tailnet.control.cli(["nodes", "approve-routes", "--identifier", String(node.id), "--routes", routes]);
}

test("an advertised route carries nothing until it is approved", { skip }, async () => {
  assert.equal(await primary(), undefined);
  assert.deepEqual((await tailnet.node("routera")).available_routes, ["192.168.77.0/24"]);
  await approve("routera", "192.168.77.0/24");
  await until("router A carries the office", 10, async () => ((await primary()) === "routera" ? true : undefined));
  await until("the office answers", 20, officePage);
});

test("a second router of the prefix waits as a stand-by", { skip }, async () => {
  await approve("routerb", "192.168.77.0/24");
  await until("B's approval is known", 30, async () =>
    (await tailnet.node("routerb")).approved_routes?.length === 1 ? true : undefined,
  );
  assert.equal(await primary(), "routera");
});

test("a router that is connected but silent loses its routes within 15 s, and traffic goes on", { skip }, async () => {
  routerA.daemon.signal("SIGSTOP");
  try {
    await until("router B carries the office", 15, async () => ((await primary()) === "routerb" ? true : undefined));
    await until("the office answers through B", 20, officePage);
  } finally {
    routerA.daemon.signal("SIGCONT");
  }
});

test("the routes do not flap back when the first router recovers", { skip }, async () => {
  await until("router A is online again", 30, async () =>
    (await tailnet.node("routera")).online === true ? true : undefined,
  );
  await new Promise((wake) => setTimeout(wake, 8000));
  assert.equal(await primary(), "routerb");
});

test("a router that disconnects hands over within 15 s", { skip }, async () => {
  await routerB.stop("SIGKILL");
  await until("router A carries the office", 15, async () => ((await primary()) === "routera" ? true : undefined));
  await until("the office answers through A", 20, officePage);
});

test("a withdrawn route is gone from the client", { skip }, async () => {
  await routerA.run(["set", "--advertise-routes="]);
  await until("nobody carries the office", 10, async () => ((await primary()) === undefined ? true : undefined));
  assert.equal(await officePage(), undefined);
});

test("an approved exit node carries the client's other traffic", { skip }, async () => {
  await routerA.run(["set", "--advertise-exit-node"]);
  await until("the exit routes are advertised", 30, async () =>
    (await tailnet.node("routera")).available_routes?.includes("0.0.0.0/0") === true ? true : undefined,
  );
  await approve("routera", "0.0.0.0/0,::/0");
  await until("the client is offered the exit node", 30, async () =>
    (await client.peers()).some((peer) => peer.HostName === "routera" && peer.ExitNodeOption) ? true : undefined,
  );
  assert.equal(await pageAt(worldAddress), undefined);
  await client.run(["set", "--exit-node=routera", "--exit-node-allow-lan-access"]);
  await until("the world answers through the exit node", 20, () => pageAt(worldAddress));
});
