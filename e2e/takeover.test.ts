// Stopping headscale and starting Hawser on the same config.yaml and database, live: headscale's own server, real
// clients, SQLite. Nobody logs in again, no script changes; and the way back.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { headscaleOrReason } from "../scripts/headscale-cli.ts";
import { startStopwatch } from "../test/patience.ts";
import { HeadscaleTailnet } from "./headscale-tailnet.ts";
import { until } from "./netns.ts";
import { programsOrReason } from "./plain-tailnet.ts";
import { answersOf, remember, type Remembered } from "./takeover-questions.ts";
import { serveTailnetPage } from "./web.ts";

const programs = programsOrReason();
const headscale = typeof programs === "string" ? programs : headscaleOrReason();
const skip = typeof headscale === "string" && headscale;

const online = ["desk", "router", "guest"] as const;
let tailnet: HeadscaleTailnet;
/** As headscale left things. */
let headscales: Remembered;
let apiKey: string;
let unusedKey: string;

async function key(...words: readonly string[]): Promise<string> {
  const made = ["preauthkeys", "create", "--expiration", "24h", ...words];
  return (await tailnet.machine.headscaleJson<{ readonly key: string }>(made)).key;
}

before(async () => {
  if (typeof programs === "string" || typeof headscale === "string") {
    return;
  }
  tailnet = new HeadscaleTailnet("takeover", programs, {
    headscale: headscale.program,
    policyMode: "database",
    database: `  type: sqlite
  sqlite:
    path: ../lib/db.sqlite
    write_ahead_log: true
    wal_autocheckpoint: 1000`,
  });
  const { machine } = tailnet;
  await machine.startProxy("10.10.0.1");
  await machine.startHeadscale();
  await machine.headscale(["users", "create", "infra"]);
  await machine.headscale(["policy", "set", "-f", machine.policyFile]);
  apiKey = (await machine.headscale(["apikeys", "create"])).stdout.trim();
  const [ofUser, ofRouter, ofGuest] = [
    await key("-u", "1", "--reusable"),
    await key("--tags", "tag:router"),
    await key("-u", "1", "--ephemeral"),
  ];
  unusedKey = await key("-u", "1");
  await Promise.all([
    tailnet.join("desk", { authKey: ofUser, up: ["--accept-routes"] }),
    tailnet.join("router", {
      authKey: ofRouter,
      up: ["--advertise-routes=10.20.0.0/24", "--advertise-exit-node"],
      networks: { office: "10.20.0.1/24" },
    }),
    tailnet.join("guest", { authKey: ofGuest }),
    tailnet.join("late", { authKey: ofUser }),
  ]);
  const [router, desk] = [await tailnet.nodeId("router"), await tailnet.nodeId("desk")];
  await machine.headscale(["nodes", "approve-routes", "-i", router, "-r", "10.20.0.0/24,0.0.0.0/0,::/0"]);
  await machine.headscale(["nodes", "rename", "-i", desk, "workbench"]);
  const inAMonth = new Date(Date.now() + 30 * 86_400_000).toISOString();
  await machine.headscale(["nodes", "expire", "-i", desk, "--expiry", inAMonth]);
  await serveTailnetPage(tailnet.client("router").host, "the router's page", [80, 81]);
  await until("desk knows the router's routes and its own expiry", 30, async () => {
    const { self, peers } = await tailnet.told("desk");
    return self.expiry !== "" && peers.some((peer) => peer.primary.includes("10.20.0.0/24")) ? true : undefined;
  });
  // At home at the relay, and talking.
  await tailnet.client("desk").ping("router");
  await tailnet.client("late").stop();
  headscales = await remember(tailnet, online);
});

after(async () => {
  if (process.env["HAWSER_E2E_VERBOSE"] !== undefined) {
    console.error(tailnet?.machine.server?.output);
  }
  await tailnet?.lab.close();
});

/** Names of the files beside the database. */
function files(): readonly string[] {
  return readdirSync(join(tailnet.machine.databaseFile, "..")).filter((name) => !name.includes(".lock"));
}

async function page(url: string): Promise<string> {
  const { host } = tailnet.client("desk");
  return (await host.run("curl", ["-s", "-m", "2", "-w", "%{http_code}", url], { check: false })).stdout;
}

/** The tailnet works: names, direct traffic, the subnet route, and what the policy does not open stays shut. */
async function assertWorks(): Promise<void> {
  await until("desk reaches the router's page by name", 20, async () =>
    (await page("http://router.acme.internal/")).startsWith("the router's page") ? true : undefined,
  );
  assert.match(await page("http://10.20.0.1/"), /^the router's page/);
  assert.equal(await page("http://router.acme.internal:81/"), "000");
  assert.equal(await page("http://10.20.0.1:81/"), "000");
  assert.match(await tailnet.client("guest").ping("workbench"), /pong from workbench/);
}

test("while headscale runs, Hawser does not start and names it", { skip }, async () => {
  await assertWorks();
  const { machine } = tailnet;
  const start = await machine.hawser(["serve"], { check: false });
  assert.notEqual(start.status, 0);
  assert.match(
    start.stdout + start.stderr,
    /headscale \(process \d+\) still has db\.sqlite open; stop headscale first/,
  );
  assert.match((await machine.headscale(["nodes", "list"])).stdout, /workbench/);
});

test("headscale killed hard leaves a log; a dry run reads it and changes no byte", { skip }, async () => {
  const { machine } = tailnet;
  await machine.stop("SIGKILL");
  const contents = (): readonly Buffer[] => ["", "-wal"].map((end) => readFileSync(machine.databaseFile + end));
  const [names, bytes] = [files(), contents()];
  assert.ok((bytes[1]?.length ?? 0) > 100_000, "what matters is in the log");
  const dry = await machine.hawser(["takeover", "--dry-run"]);
  assert.match(dry.stdout, /^headscale 0\.29: 1 users, 4 nodes, 4 pre-auth keys, 1 API keys, 1 policy versions$/m);
  assert.match(dry.stdout, /^Nothing is odd\.$/m);
  assert.deepEqual([files(), contents()], [names, bytes]);
});

test(
  "started on the same config.yaml, Hawser has all clients back, which were told what they knew",
  { skip },
  async () => {
    const { machine } = tailnet;
    await machine.startHawser();
    const seconds = await tailnet.backOnline(online, 60);
    console.log(`     all clients online ${seconds.toFixed(1)} s after Hawser was healthy`);
    assert.match(
      machine.server?.output ?? "",
      /headscale's database was taken over; the copy that was kept leads back/,
    );
    for (const name of online) {
      const status = await tailnet.client(name).status();
      assert.deepEqual([status.BackendState, status.AuthURL], ["Running", ""], name);
      assert.deepEqual(await tailnet.told(name), headscales.told.get(name), name);
    }
    await assertWorks();
    const copy = files().find((name) => /^db\.sqlite\.headscale-0\.29-\d{8}T\d{6}Z$/.test(name)) ?? "";
    assert.equal(statSync(join(machine.databaseFile, "..", copy)).mode & 0o777, 0o600);
  },
);

test("headscale's program and the API key answer as before", { skip }, async () => {
  const { machine } = tailnet;
  assert.deepEqual(await answersOf(machine), headscales.answers);
  const { status, body } = await machine.rest("/api/v1/node", apiKey);
  assert.equal(status, 200);
  const { nodes } = JSON.parse(body) as { readonly nodes: readonly { readonly givenName: string }[] };
  assert.deepEqual(nodes.map(({ givenName }) => givenName).sort(), ["guest", "late", "router", "workbench"]);
  assert.equal((await machine.rest("/api/v1/node", `${apiKey.slice(0, -1)}_`)).status, 401);
});

test("a client that was away is known when it comes; the unused key opens, once", { skip }, async () => {
  const late = tailnet.client("late");
  await late.start();
  await tailnet.backOnline(["late"], 30);
  const told = await tailnet.told("late");
  const asKnown = headscales.told.get("desk")?.peers.find(({ id }) => id === told.self.id);
  assert.deepEqual({ ...told.self, routes: asKnown?.routes }, asKnown);
  assert.match(await late.ping("workbench"), /pong from workbench/);

  const fresh = await tailnet.join("fresh", { authKey: unusedKey });
  assert.match(await fresh.ping("late"), /pong from late/);
  assert.ok(Number(await tailnet.nodeId("fresh")) > 4, "ids of headscale's are not given out again");
  await assert.rejects(tailnet.join("thief", { authKey: unusedKey }), /authkey already used/);
  // It would try again for ever; and after the way back the key is unused once more.
  await tailnet.client("thief").stop();
});

test("a second start is quick and has nothing to say", { skip }, async () => {
  const { machine } = tailnet;
  await machine.stop();
  const watch = startStopwatch();
  await machine.startHawser();
  const seconds = watch.seconds();
  assert.ok(seconds < 5, `${seconds} s`);
  assert.deepEqual(machine.complaints(), []);
  await tailnet.backOnline(["desk", "router", "late", "fresh"], 60);
});

test("the way back is refused while Hawser runs, then leads to headscale with its clients", { skip }, async () => {
  const { machine } = tailnet;
  const tooSoon = await machine.hawser(["takeover", "--undo"], { check: false });
  assert.notEqual(tooSoon.status, 0);
  assert.match(tooSoon.stderr, /db\.sqlite is in use by process \d+ on .*; stop that server first/);
  await machine.stop();
  await machine.hawser(["takeover", "--undo"]);
  assert.ok(files().some((name) => /^db\.sqlite\.hawser-\d{8}T\d{6}Z$/.test(name)));
  await machine.startHeadscale();
  const seconds = await tailnet.backOnline([...online, "late"], 60);
  console.log(`     all clients online ${seconds.toFixed(1)} s after headscale was healthy again`);
  assert.deepEqual(await answersOf(machine), headscales.answers);
  await assertWorks();
  const again = await machine.hawser(["takeover", "--undo"], { check: false });
  assert.match(again.stderr, /db\.sqlite is headscale's database already; nothing was changed/);
});
