// Switching from headscale: the same config.yaml, database and private keys, the real program started on them. Nobody
// has to log in again, no script changes; and the way back.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { SimClient } from "../sim/client.ts";
import { fetchServerKey } from "../sim/dial.ts";
import { publicOf } from "../src/wire/keys.ts";
import { type Env, type Output, runProgram, type ServerProcess, startServerProcess } from "./hawser-process.ts";
import { held, type Installation, installHeadscale, type Machine, turnBackTo027 } from "./headscale-installation.ts";
import { scratchFolder } from "./scratch-folder.ts";

interface World extends Installation {
  readonly env: Env;
  start(): Promise<ServerProcess>;
  cli(words: string): Promise<Output>;
  rest(path: string, key: string): Promise<{ readonly status: number; readonly body: unknown }>;
  client(machine: Machine | undefined, hostname: string): Promise<SimClient>;
}

async function world(context: TestContext): Promise<World> {
  const folder = scratchFolder(context, "switch");
  const installation = await installHeadscale(folder);
  // Nothing but what headscale had: Hawser finds a place for its own beside the database.
  const env: Env = {};
  const words = ["--config", installation.configFile];
  const { url } = installation;
  return {
    ...installation,
    env,
    async start() {
      const server = await startServerProcess(words, url, env);
      context.after(() => server.stop());
      return server;
    },
    cli: (text) => runProgram([...words, ...text.split(" ")], env),
    async rest(path, key) {
      const answer = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${key}` } });
      const text = await answer.text();
      return { status: answer.status, body: answer.ok ? (JSON.parse(text) as unknown) : text };
    },
    async client(machine, hostname) {
      const serverPublic = await fetchServerKey(new URL(url), 142);
      const client = new SimClient({ url: new URL(url), serverPublic, hostname, strict: true, ...machine });
      context.after(() => client.close());
      return client;
    },
  };
}

interface NodeJson {
  readonly id: string;
  readonly givenName: string;
  readonly ipAddresses: readonly string[];
  readonly tags: readonly string[];
  readonly online: boolean;
}

test("headscale's clients, keys, scripts and policy go on working, and the way back leads back", async (context) => {
  const it = await world(context);
  const dry = await it.cli("takeover --dry-run");
  assert.equal(dry.code, 0, dry.stderr);
  assert.match(dry.stdout, /^headscale 0\.29: 2 users, 2 nodes, 2 pre-auth keys, 2 API keys, 3 policy versions/);
  assert.match(dry.stdout, /Nothing was changed \(dry run\)\./);
  const derpKey = readFileSync(it.derpKeyFile, "utf8");
  const server = await it.start();
  assert.match(server.said(), /headscale's database was taken over/);

  // The server is the one that clients know, and nobody logs in again.
  assert.deepEqual(Buffer.from(await fetchServerKey(new URL(it.url), 142)), Buffer.from(publicOf(it.noiseKey)));
  const web = await it.client(it.web, "Web 1");
  const answer = await web.register();
  assert.deepEqual([answer.AuthURL, answer.Error, answer.NodeKeyExpired], ["", "", false]);
  const netmap = await web.openMap();
  assert.deepEqual(
    [netmap.self?.ID, netmap.self?.StableID, netmap.self?.Addresses, netmap.self?.Name],
    [5, "5", ["100.64.0.5/32", "fd7a:115c:a1e0::5/128"], "web-1.example.com."],
  );
  // A client that just came up does not register at all: it asks for its map.
  const ci = await it.client(it.ci, "ci");
  const own = await ci.openMap();
  assert.deepEqual([own.self?.ID, own.self?.Tags], [9, ["tag:build", "tag:ci"]]);
  assert.deepEqual(
    [...own.peers.values()].map(({ ID, Addresses }) => [ID, Addresses]),
    [[5, ["100.64.0.5/32", "fd7a:115c:a1e0::5/128"]]],
  );

  // Scripts: REST with both forms of API key, the command line over headscale's socket.
  for (const key of [held.apiKey, held.oldApiKey, held.apiKey]) {
    const { status, body } = await it.rest("/api/v1/node", key);
    assert.equal(status, 200, key);
    assert.deepEqual(
      (body as { nodes: NodeJson[] }).nodes.map(({ id, givenName, ipAddresses, tags, online }) => [
        id,
        givenName,
        ipAddresses,
        tags,
        online,
      ]),
      [
        ["5", "web-1", ["100.64.0.5", "fd7a:115c:a1e0::5"], [], true],
        ["9", "renamed-by-admin", ["100.64.0.9"], ["tag:build", "tag:ci"], true],
      ],
    );
  }
  assert.equal((await it.rest("/api/v1/node", `${held.apiKey.slice(0, -1)}x`)).status, 401);
  const users = JSON.parse((await it.cli("users list -o json")).stdout) as { id: number; name: string }[];
  assert.deepEqual(
    users.map(({ id, name }) => [id, name]),
    [
      [1, "alice"],
      [2, "infra"],
    ],
  );
  assert.match((await it.cli("policy get")).stdout, /^\/\/ keep me\n/);
  const keys = JSON.parse((await it.cli("preauthkeys list -o json")).stdout) as { id: number }[];
  assert.deepEqual(
    keys.map(({ id }) => id),
    [3, 4],
  );

  // New machines join with the keys that people have.
  for (const [index, [authKey, tags]] of (
    [
      [held.preAuthKey, []],
      [held.preAuthKey, []],
      [held.plainPreAuthKey, ["tag:ci"]],
    ] as const
  ).entries()) {
    const fresh = await it.client(undefined, `fresh-${index}`);
    await fresh.join({ authKey });
    const map = await fresh.openMap();
    assert.ok((map.self?.ID ?? 0) > 9, "ids of headscale's are not given out again");
    assert.deepEqual(map.self?.Tags ?? [], tags);
  }
  const late = await it.client(undefined, "late");
  await assert.rejects(late.join({ authKey: held.plainPreAuthKey }), /authkey already used/);

  await server.stop();
  assert.equal(readFileSync(it.derpKeyFile, "utf8"), derpKey);
  const db = new DatabaseSync(it.database, { readOnly: true });
  const forms = (table: string): unknown[] =>
    db
      .prepare(`SELECT id, hash_algorithm AS form FROM ${table} ORDER BY id`)
      .all()
      .map(({ id, form }) => [id, form]);
  assert.deepEqual(forms("api_keys"), [
    [1, "sha256"],
    [2, "sha256"],
  ]);
  assert.deepEqual(forms("pre_auth_keys"), [
    [3, "sha256"],
    [4, "sha256-legacy"],
  ]);
  db.close();

  // A second start finds nothing to take over, and the keys open by their new hashes.
  const again = await it.start();
  assert.doesNotMatch(again.said(), /taken over/);
  assert.equal((await it.rest("/api/v1/apikey", held.oldApiKey)).status, 200);
  await again.stop();

  const undone = await it.cli("takeover --undo");
  assert.equal(undone.code, 0, undone.stderr);
  const back = new DatabaseSync(it.database, { readOnly: true });
  assert.deepEqual(
    back
      .prepare("SELECT id, given_name AS name FROM nodes ORDER BY id")
      .all()
      .map(({ id, name }) => [id, name]),
    [
      [5, "web-1"],
      [9, "renamed-by-admin"],
    ],
  );
  back.close();
  assert.ok(readdirSync(join(it.folder, "lib")).some((name) => /^db\.sqlite\.hawser-\d{8}T\d{6}Z$/.test(name)));
});

test("tags that a client of 0.27 asked for are its own when the policy lets its user have them", async (context) => {
  const it = await world(context);
  turnBackTo027(it, ["tag:ci", "tag:secret", "tag:unheard"]);
  const dry = await it.cli("takeover --dry-run -o json");
  const { headscale, report } = JSON.parse(dry.stdout) as {
    headscale: string;
    report: { subject: string; text: string }[];
  };
  assert.equal(headscale, "0.27");
  assert.ok(
    report.some(({ text }) => text === "keeps the tags it asked for and was allowed: tag:ci"),
    JSON.stringify(report),
  );
  const server = await it.start();
  const web = await it.client(it.web, "Web 1");
  const map = await web.openMap();
  assert.deepEqual([map.self?.ID, map.self?.Tags], [5, ["tag:ci"]]);
  await server.stop();
});

test("a database of a headscale too old or too new stops the start with what to do first, and stays as it was", async (context) => {
  for (const [change, advice] of [
    ["DELETE FROM migrations; INSERT INTO migrations VALUES ('202312101416')", /start headscale 0\.25 on it once/],
    ["UPDATE database_versions SET version = 'v0.30.1'", /newer than 0\.29 \(v0\.30\.1\).*Start a newer Hawser/],
  ] as const) {
    const it = await world(context);
    const db = new DatabaseSync(it.database);
    db.exec(change);
    db.exec("PRAGMA journal_mode = DELETE");
    db.close();
    const before = readFileSync(it.database);
    const started = await it.cli("serve");
    assert.equal(started.code, 1);
    assert.match(started.stderr, advice);
    assert.match((await it.cli("takeover")).stderr, advice);
    assert.match((await it.cli("takeover --dry-run")).stderr, advice);
    assert.deepEqual(readFileSync(it.database), before);
  }
});

test("a policy as headscale 0.25 still understood it is reported before the switch, and opens nothing", async (context) => {
  const it = await world(context);
  turnBackTo027(it, []);
  const db = new DatabaseSync(it.database);
  // Users without the @ that 0.26 and later ask for.
  db.exec(
    `UPDATE policies SET data = '{"acls": [{"action": "accept", "src": ["alice"], "dst": ["alice:*"]}]}' WHERE id = 3`,
  );
  db.close();
  const { stdout } = await it.cli("takeover --dry-run");
  assert.match(stdout, /odd +\| policy +\| the policy cannot be used: .*alice.*nobody may reach anybody/s);
  const server = await it.start();
  const web = await it.client(it.web, "Web 1");
  const map = await web.openMap();
  assert.deepEqual([map.self?.ID, [...map.peers.values()].length], [5, 0]);
  await server.stop();
});

test("requested tags are granted to nobody where no policy can say whose they are", async (context) => {
  const it = await world(context);
  turnBackTo027(it, ["tag:ci"]);
  const db = new DatabaseSync(it.database);
  db.exec("UPDATE policies SET data = '{\"acls\": [' WHERE id = 3");
  db.close();
  const { stdout } = await it.cli("takeover --dry-run -o json");
  assert.match(stdout, /asks for tag:ci and does not get it: the policy cannot be used: /);
  assert.match(stdout, /"subject":\s*"policy",\s*"text":\s*"the policy cannot be used: .*nobody may reach anybody"/);
});
