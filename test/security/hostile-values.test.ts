// One value that a client's decoder does not take makes it drop the whole message, so whoever gets such a value told
// stops everybody's map. Nodes and admins say the worst they can; peers that read as strictly as official clients must
// not find a fault, not in what they are told at once and not in a fresh map.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "../../src/cli/client.ts";
import type { Io } from "../../src/cli/io.ts";
import { runProgram } from "../../src/cli/program.ts";
import { controlWorld, type ControlWorld } from "../control-world.ts";
import { generousSeconds, until } from "../patience.ts";

const bell = "\u0007\u001b]0;owned\u001b\\\u001b[2J";
const longest = "x".repeat(1024);
const odd = [
  bell,
  "a\nb\r\nc",
  "\u202egnp.exe",
  "\u2028\u2029",
  "\ud800",
  `${"a".repeat(255)}😀${"b".repeat(300)}`,
  "<script>alert(1)</script>",
  "'; DROP TABLE nodes; --",
  "../../etc/passwd",
  "xn--80ak6aa92e",
  "аррӏе",
  "-",
  ".",
  "__proto__",
  longest,
];

/** Whole Hostinfos, each with something that some decoder would choke on. */
const hosts: readonly Readonly<Record<string, unknown>>[] = [
  ...odd.map((text) => ({ Hostname: text, OS: text, OSVersion: text, App: text })),
  { Location: { Country: longest, City: bell, Latitude: 1e308, Longitude: -1e308, Priority: 1e300 } },
  { Location: { Priority: 2 ** 63 } },
  { Location: { Priority: -1e21, Latitude: "north", nested: { deep: [1, 2, 3] } } },
  { Location: [[[[]]]] },
  {
    Services: [
      { Proto: "peerapi4", Port: 65_535 },
      { Proto: bell, Port: 1 },
      { Proto: "peerapi6", Port: 0 },
    ],
  },
  { Services: Array.from({ length: 5000 }, (_, index) => ({ Proto: "peerapi4", Port: index })) },
  { sshHostKeys: Array.from({ length: 32 }, () => bell + longest) },
  { RoutableIPs: ["0.0.0.0/0", "::/0", "10.0.0.1/8", "::ffff:1.2.3.4/128", "100.64.0.0/10", "127.0.0.0/8"] },
  { RoutableIPs: Array.from({ length: 4000 }, (_, index) => `10.${index >> 8}.${index & 255}.0/24`) },
  { RequestTags: odd.slice(0, 10) },
  { NetInfo: { PreferredDERP: 2 ** 31 - 1, DERPLatency: { [bell]: 1e308, "": -0 } } },
  { NetInfo: { PreferredDERP: 900_000, LinkType: bell, FirewallMode: "\ud800" } },
  { AppConnector: true, ShieldsUp: true, ExitNodeID: bell, Unknown: { [bell]: [bell] } },
];

const endpoints = [
  ["192.0.2.1:0", "[::]:65535", "[fe80::1%eth0]:1", "192.0.2.1:65536", "[::ffff:192.0.2.1]:9", "a:1", ""],
  ["010.0.0.1:1", "1.2.3.4:01", "1.2.3:4", "[1.2.3.4]:5", "::1:5", "255.255.255.255:1", "[ff02::1]:1"],
  Array.from({ length: 3000 }, (_, index) => `192.0.2.${index & 255}:${index + 1}`),
];

/** The watcher has heard everything, found no fault, and a fresh map is as good. */
async function assertUnharmed(world: ControlWorld, watcher: ReturnType<ControlWorld["client"]>, id: number) {
  const { homeDerp } = world.server.tailnet.nodes().find((node) => node.id === id) ?? { homeDerp: 0 };
  assert.ok(homeDerp >= 0);
  await until("the watcher knows the node", () => watcher.netmap.peers.has(id));
  assert.deepEqual(watcher.faults, []);
  assert.equal(watcher.meter.streamsLost, 0);
  const fresh = await watcher.openMap();
  assert.deepEqual(watcher.faults, []);
  assert.ok(fresh.peers.has(id));
}

test("the worst that a node can say of itself reaches its peers in a form they read", async (context) => {
  const world = await controlWorld(context);
  const watcher = await world.join({ hostname: "watcher" });
  const node = await world.join({ hostname: "hostile" });
  const id = node.netmap.self?.ID ?? 0;
  let taken = 0;
  for (const [index, host] of hosts.entries()) {
    const reply = await node.request("POST", "/machine/map", {
      ...node.mapBody({ OmitPeers: true, Endpoints: endpoints[index % endpoints.length] }),
      Hostinfo: { ...node.hostinfo, ...host },
    });
    assert.ok(reply.status === 200 || reply.status === 400, `${index}: ${reply.status}`);
    taken += reply.status === 200 ? 1 : 0;
  }
  assert.ok(taken >= odd.length, "most of it is taken in, so that it is told");
  await assertUnharmed(world, watcher, id);
  assert.match(watcher.netmap.peers.get(id)?.Name ?? "", /^[a-z0-9-]{1,63}\.sim\.internal\.$/);
});

test("nodes that register with such values are told to others in a form they read", async (context) => {
  const world = await controlWorld(context);
  const watcher = await world.join({ hostname: "watcher" });
  const authKey = await world.authKey({ reusable: true });
  let last = 0;
  for (const host of hosts) {
    const node = world.client();
    const reply = await node.request("POST", "/machine/register", {
      ...node.registerBody({ authKey }),
      // Read as a time of the year 10000 unless somebody minds.
      Expiry: "9999-12-31T23:59:59.999-14:00",
      Hostinfo: { ...node.hostinfo, ...host },
    });
    assert.ok(reply.status === 200 || reply.status === 400);
    const known = world.server.tailnet.nodeByKey(node.nodeKeyText);
    last = known?.id ?? last;
  }
  assert.ok(last > hosts.length / 2);
  await assertUnharmed(world, watcher, last);
  const names = world.server.tailnet.nodes().map((node) => node.givenName);
  assert.equal(new Set(names).size, names.length);
  for (const name of names) {
    assert.match(name, /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
  }
});

test("what admins call users, and when they let keys end, stops nobody's map", async (context) => {
  const world = await controlWorld(context);
  const watcher = await world.join({ hostname: "watcher" });
  const node = await world.join({ hostname: "node" });
  const id = node.netmap.self?.ID ?? 0;
  const made = await world.server.tailnet.createApiKey(world.actor, { expiration: null });
  assert.ok(made.ok);
  const headers = { authorization: `Bearer ${made.value.secret}` };
  const post = async (path: string, body: unknown): Promise<number> =>
    (await fetch(new URL(path, world.url), { method: "POST", headers, body: JSON.stringify(body) })).status;
  for (const [index, text] of odd.entries()) {
    const name = `${index}${text}`;
    await post("/api/v1/user", { name, displayName: text, email: `${text}@example.com`, pictureUrl: text });
    await post(`/api/v1/user/${world.user.id}/rename/${encodeURIComponent(name.toWellFormed())}`, {});
    await post(`/api/v1/node/${id}/rename/${encodeURIComponent(text.toWellFormed())}`, {});
    await post(`/api/v1/node/${id}/tags`, { tags: [`tag:${text}`] });
  }
  for (const expiry of ["9999-12-31T23:59:59-14:00", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z"]) {
    assert.notEqual(await post(`/api/v1/node/${id}/expire?expiry=${encodeURIComponent(expiry)}`, {}), 500, expiry);
  }
  await post(`/api/v1/node/${id}/expire?disable_expiry=true`, {});
  assert.ok(world.server.tailnet.users().length > 3, "some of the names are taken");
  const users = world.server.tailnet.users();
  for (const user of users) {
    const key = await world.server.tailnet.createPreAuthKey(world.actor, {
      user: user.id,
      reusable: false,
      ephemeral: false,
      tags: [],
      expiration: null,
    });
    assert.ok(key.ok);
    const other = world.client();
    assert.equal((await other.register({ authKey: key.value.secret })).Error, "");
  }
  await assertUnharmed(world, watcher, id);
});

test("what reaches a terminal holds no control characters", async (context) => {
  const world = await controlWorld(context);
  const { tailnet } = world.server;
  assert.equal((await tailnet.createUser(world.actor, { name: "ursula", displayName: bell })).ok, false);
  assert.equal((await tailnet.createUser(world.actor, { name: "ursula", displayName: "\u202egnp" })).ok, true);
  const node = await world.join({ hostname: bell });
  await node.update({ hostinfo: { Hostname: bell, OS: bell, RequestTags: ["tag:x"] } });
  await world.client({ hostname: bell }).register();
  let out = "";
  const write = (text: string): void => {
    out += text;
  };
  const io: Io = {
    stdout: { write, isTerminal: true, columns: 200 },
    stderr: { write, isTerminal: true, columns: 200 },
    readLine: () => Promise.resolve("n"),
    isInteractive: false,
    env: { NO_COLOR: "1" },
    now: () => Date.now(),
  };
  const place = { kind: "socket", path: world.server.config.unixSocket } as const;
  const client = createClient({ place, timeout: generousSeconds * 1000, programName: "hawser" });
  for (const words of [
    "nodes list",
    "nodes list -o json",
    "nodes list -o yaml",
    "nodes show 1",
    "users list",
    "auth list",
    "audit list",
    "routes list",
    `nodes rename -i 1 ${bell}`,
    `users create ${bell}`,
    `nodes ${bell}`,
  ]) {
    await runProgram(words.split(" "), { programName: "hawser", io, client });
  }
  assert.match(out, /ursula/);
  // oxlint-disable-next-line no-control-regex
  const found = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/.exec(out);
  assert.equal(found, null, JSON.stringify(out.slice(Math.max(0, (found?.index ?? 0) - 60), (found?.index ?? 0) + 30)));
});
