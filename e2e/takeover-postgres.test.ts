// The same switch on PostgreSQL, as an installation has it: a role and a database of headscale's own, the policy in a
// file beside config.yaml, all paths relative.
import assert from "node:assert/strict";
import { createServer, connect } from "node:net";
import type { Server } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Client as Database } from "pg";
import { headscaleOrReason } from "../scripts/headscale-cli.ts";
import { administer, postgresServer, whyNoPostgres } from "../src/store/postgres/scratch.test-data.ts";
import { HeadscaleTailnet } from "./headscale-tailnet.ts";
import { until } from "./netns.ts";
import { programsOrReason } from "./plain-tailnet.ts";
import { answersOf, remember, type Remembered } from "./takeover-questions.ts";

const programs = programsOrReason();
const headscale = typeof programs === "string" ? programs : headscaleOrReason();
const noPostgres = await whyNoPostgres();
const skip = typeof headscale === "string" ? headscale : (noPostgres ?? false);

const names = ["desk", "router"] as const;
/** Role, password and database. */
const own = `hawser_e2e_${process.pid}`;
let tailnet: HeadscaleTailnet;
let door: Server;
let headscales: Remembered;

before(async () => {
  if (typeof programs === "string" || typeof headscale === "string" || noPostgres !== undefined) {
    return;
  }
  // A run that was killed may have left them, and its process's number been given again.
  await administer(`DROP DATABASE IF EXISTS ${own} WITH (FORCE)`);
  await administer(`DROP ROLE IF EXISTS ${own}`);
  await administer(`CREATE ROLE ${own} LOGIN PASSWORD '${own}'`);
  await administer(`CREATE DATABASE ${own} OWNER ${own}`);
  tailnet = new HeadscaleTailnet("takeover-pg", programs, {
    headscale: headscale.program,
    policyMode: "file",
    database: ({ folder }) => `  type: postgres
  postgres:
    host: ${folder}
    port: 5432
    name: ${own}
    user: ${own}
    pass: ${own}
    max_open_conns: 10
    max_idle_conns: 10
    conn_max_idle_time_secs: 3600
    ssl: false`,
  });
  const { machine } = tailnet;
  door = await openDoor(machine.host.folder);
  await machine.startProxy("10.10.0.1");
  await machine.startHeadscale();
  await machine.headscale(["users", "create", "infra"]);
  const key = async (...words: readonly string[]): Promise<string> =>
    (await machine.headscaleJson<{ readonly key: string }>(["preauthkeys", "create", ...words])).key;
  await Promise.all([
    tailnet.join("desk", { authKey: await key("-u", "1") }),
    tailnet.join("router", {
      authKey: await key("--tags", "tag:router"),
      up: ["--advertise-routes=10.20.0.0/24"],
    }),
  ]);
  await machine.headscale(["nodes", "approve-routes", "-i", await tailnet.nodeId("router"), "-r", "10.20.0.0/24"]);
  await until("desk knows the router's route", 20, async () =>
    (await tailnet.told("desk")).peers.some((peer) => peer.primary.includes("10.20.0.0/24")) ? true : undefined,
  );
  headscales = await remember(tailnet, names);
});

after(async () => {
  if (process.env["HAWSER_E2E_VERBOSE"] !== undefined) {
    console.error(tailnet?.machine.server?.output);
  }
  await tailnet?.lab.close();
  if (door !== undefined) {
    door.close();
    await administer(`DROP DATABASE ${own} WITH (FORCE)`);
    await administer(`DROP ROLE ${own}`);
  }
});

/** PostgreSQL is outside of the namespace; a socket in the file system leads there. */
async function openDoor(folder: string): Promise<Server> {
  const { host, port } = postgresServer;
  const server = createServer((inside) => {
    const outside = connect({ host, port });
    inside.pipe(outside).pipe(inside);
    inside.on("error", () => outside.destroy()).on("close", () => outside.destroy());
    outside.on("error", () => inside.destroy()).on("close", () => inside.destroy());
  });
  await new Promise<void>((done) => {
    server.listen(join(folder, ".s.PGSQL.5432"), done);
  });
  return server;
}

async function ask<Answer extends object>(sql: string): Promise<readonly Answer[]> {
  const client = new Database({ ...postgresServer, database: own });
  await client.connect();
  try {
    return (await client.query<Answer>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** Every table, sequence, index and row there is, as one text. */
async function everything(): Promise<string> {
  const relations = await ask<{ name: string; kind: string }>(
    `SELECT c.oid::regclass::text AS name, relkind AS kind FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
     WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' ORDER BY 1`,
  );
  const contents: unknown[] = [relations];
  for (const { name } of relations.filter(({ kind }) => kind === "r" || kind === "S")) {
    contents.push(await ask(`SELECT * FROM ${name} ORDER BY 1`));
  }
  return JSON.stringify(contents);
}

test("while headscale runs, Hawser does not start and headscale goes on", { skip }, async () => {
  const { machine } = tailnet;
  const start = await machine.hawser(["serve"], { check: false });
  assert.notEqual(start.status, 0);
  assert.match(start.stdout + start.stderr, /is connected to the database hawser_e2e_\d+ as .*; stop headscale/);
  assert.deepEqual(await answersOf(machine), headscales.answers);
});

test("a dry run changes nothing in the database", { skip }, async () => {
  const { machine } = tailnet;
  await machine.stop("SIGKILL");
  const before = await everything();
  const dry = await machine.hawser(["takeover", "--dry-run"]);
  assert.match(dry.stdout, /^headscale 0\.29: 1 users, 2 nodes, 2 pre-auth keys, 0 API keys, 0 policy versions$/m);
  assert.match(dry.stdout, /^Nothing is odd\.$/m);
  assert.equal(await everything(), before);
});

test(
  "started on the same config.yaml, Hawser has all clients back, which were told what they knew",
  { skip },
  async () => {
    const { machine } = tailnet;
    await machine.startHawser();
    const seconds = await tailnet.backOnline(names, 60);
    console.log(`     all clients online ${seconds.toFixed(1)} s after Hawser was healthy`);
    for (const name of names) {
      assert.equal((await tailnet.client(name).status()).BackendState, "Running");
      assert.deepEqual(await tailnet.told(name), headscales.told.get(name), name);
    }
    assert.deepEqual(await answersOf(machine), headscales.answers);
    assert.match(await tailnet.client("desk").ping("router"), /pong from router/);
  },
);

test("headscale's tables are kept in a schema that says what it is", { skip }, async () => {
  const kept = await ask<{ said: string }>(
    "SELECT obj_description('headscale_before_hawser'::regnamespace, 'pg_namespace') AS said",
  );
  assert.match(kept[0]?.said ?? "", /^The tables of headscale 0\.29 as Hawser found them .*takeover --undo/);
  const nodes = await ask<{ hostname: string }>("SELECT hostname FROM headscale_before_hawser.nodes ORDER BY 1");
  assert.deepEqual(
    nodes.map(({ hostname }) => hostname),
    ["desk", "router"],
  );
});

test("a second start has nothing to say", { skip }, async () => {
  const { machine } = tailnet;
  await machine.stop();
  await machine.startHawser();
  assert.deepEqual(machine.complaints(), []);
  await tailnet.backOnline(names, 60);
});

test("the way back is refused while Hawser runs, then leads to headscale with its clients", { skip }, async () => {
  const { machine } = tailnet;
  const tooSoon = await machine.hawser(["takeover", "--undo"], { check: false });
  assert.match(tooSoon.stderr, /in use by hawser on .*; stop that server first/);
  await machine.stop();
  assert.match((await machine.hawser(["takeover", "--undo"])).stdout, /Hawser's are kept in schema hawser_undone_\d+/);
  await machine.startHeadscale();
  await tailnet.backOnline(names, 60);
  assert.deepEqual(await answersOf(machine), headscales.answers);
  // A row made now gets its id from a sequence that came back too.
  await machine.headscale(["users", "create", "later"]);
});
