// A headscale 0.29 database taken over in place and given back, on both databases.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Client } from "pg";
import { formatAddr, formatPrefix } from "../../ip/index.ts";
import type { Snapshot, Store } from "../../tailnet/store.ts";
import { openPostgresStore } from "../postgres/store.ts";
import { openSqliteStore } from "../sqlite.ts";
import type { ConvertTools } from "./convert.ts";
import { postgresDump, sqliteDump } from "./headscale-029.test-data.ts";
import type { TakeoverOutcome, TakeoverSummary } from "./summary.ts";
import { dryRunPostgres, takeOverPostgres, undoPostgresTakeover } from "./takeover-postgres.ts";
import { dryRunSqlite, takeOverSqlite } from "./takeover-sqlite.ts";
import { undoSqliteTakeover } from "./undo-sqlite.ts";

const tools: ConvertTools = {
  hash: (text) => createHash("sha256").update(text).digest("hex"),
  decodeHostinfo: (value) => (typeof value === "object" && value !== null ? value : undefined),
  judgeTags: () => ({ mayTag: () => false }),
};
const now = Date.UTC(2026, 10, 20, 20, 15);

function summaryOf(outcome: TakeoverOutcome): TakeoverSummary {
  assert.equal(outcome.kind, "done", JSON.stringify(outcome));
  assert.ok(outcome.kind === "done");
  return outcome.summary;
}

/** Everything that must have survived, whichever database it went through. */
async function assertCarriedOver(store: Store): Promise<void> {
  const snapshot: Snapshot = await store.load();
  assert.deepEqual(
    snapshot.users.map((user) => [user.id, user.name, user.providerId]),
    [
      [1, "alice", "https://idp.example.com/42"],
      [2, "infra", ""],
    ],
  );
  const [web, ci] = snapshot.nodes;
  assert.ok(web !== undefined && ci !== undefined);
  assert.equal(web.record.id, 5);
  assert.equal(web.record.stableId, "5");
  assert.equal(web.record.userId, 1);
  assert.equal(web.record.expiry, Date.UTC(2027, 0, 1));
  assert.equal(web.record.ipv4 === null ? "" : formatAddr(web.record.ipv4), "100.64.0.5");
  assert.deepEqual(web.record.approvedRoutes.map(formatPrefix).sort(), ["0.0.0.0/0", "10.0.0.0/24", "::/0"]);
  assert.equal(web.record.nameFixed, false);
  assert.equal(web.presence.homeDerp, 999);
  assert.deepEqual(web.presence.endpoints, ["192.0.2.1:41641"]);
  assert.equal(web.presence.lastSeen, Date.UTC(2026, 2, 4, 5, 6, 7, 890));
  assert.deepEqual(ci.record.tags, ["tag:build", "tag:ci"]);
  assert.equal(ci.record.userId, null);
  assert.equal(ci.record.ephemeral, true);
  assert.equal(ci.record.nameFixed, true);
  assert.deepEqual(
    snapshot.preAuthKeys.map(({ key, secret }) => [key.id, key.prefix, secret.algorithm]),
    [
      [3, "abcdefghijkl", "bcrypt"],
      [4, "", "sha256-legacy"],
    ],
  );
  assert.equal(snapshot.apiKeys[0]?.key.prefix, "AbCdEfGhIjKl");
  assert.match(snapshot.policy?.text ?? "", /now open/);
  assert.equal((await store.policyHistory(10)).length, 2);
}

function headscaleFile(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "hawser-takeover-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "db.sqlite");
  const db = new DatabaseSync(path);
  db.exec("PRAGMA journal_mode = WAL");
  db.exec(sqliteDump);
  db.close();
  return path;
}

const openStore = (path: string): Promise<Store> => openSqliteStore({ path });

test("SQLite: all is carried over, the next start finds nothing to do", async (context) => {
  const path = headscaleFile(context);
  const summary = summaryOf(await takeOverSqlite({ path, tools, openStore, now }));
  assert.equal(summary.version, "0.29");
  assert.deepEqual(summary.counts, { users: 2, nodes: 2, preAuthKeys: 2, apiKeys: 1, policies: 2 });
  const store = await openStore(path);
  await assertCarriedOver(store);
  await store.close();
  assert.equal((await takeOverSqlite({ path, tools, openStore, now })).kind, "nothing-to-do");
});

test("SQLite: a dry run reports the same and changes nothing", async (context) => {
  const path = headscaleFile(context);
  const before = readdirSync(join(path, ".."));
  const report = summaryOf(dryRunSqlite(path, tools));
  assert.deepEqual(
    readdirSync(join(path, "..")).filter((name) => !/-(wal|shm)$/.test(name)),
    before,
  );
  assert.equal(report.snapshot, undefined);
  const real = summaryOf(await takeOverSqlite({ path, tools, openStore, now }));
  assert.deepEqual(report.report, real.report);
});

test("SQLite: while headscale has the file open it is refused and left as it is", async (context) => {
  const path = headscaleFile(context);
  const headscale = new DatabaseSync(path);
  headscale.exec("SELECT count(*) FROM nodes");
  const outcome = await takeOverSqlite({ path, tools, openStore, now });
  headscale.close();
  assert.equal(outcome.kind, "refused");
  assert.match(outcome.kind === "refused" ? outcome.reason : "", /stop headscale first/);
  assert.equal(dryRunSqlite(path, tools).kind, "done");
});

test("SQLite: undo gives headscale's database back and keeps Hawser's", async (context) => {
  const path = headscaleFile(context);
  summaryOf(await takeOverSqlite({ path, tools, openStore, now }));
  const undone = undoSqliteTakeover(path, now + 1000);
  assert.ok(undone.kind === "undone");
  const db = new DatabaseSync(path);
  assert.equal(db.prepare("SELECT given_name FROM nodes WHERE id = 9").get()?.["given_name"], "renamed-by-admin");
  db.close();
  const kept = await openStore(undone.kept);
  await assertCarriedOver(kept);
  await kept.close();
  // And forth again.
  summaryOf(await takeOverSqlite({ path, tools, openStore, now: now + 2000 }));
});

test("SQLite: a file from before 0.25 is told which step comes first", async (context) => {
  const path = headscaleFile(context);
  const db = new DatabaseSync(path);
  db.exec("DELETE FROM migrations; INSERT INTO migrations VALUES ('202312101416')");
  db.close();
  const outcome = await takeOverSqlite({ path, tools, openStore, now });
  assert.match(outcome.kind === "refused" ? outcome.reason : "", /start headscale 0\.25 on it once/);
});

const server = {
  host: "127.0.0.1",
  port: 5432,
  user: process.env["PGUSER"] ?? "postgres",
  password: process.env["PGPASSWORD"] ?? "",
};

async function onPostgres(database: string, sql: string): Promise<void> {
  const client = new Client({ ...server, database, connectionTimeoutMillis: 2000 });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

const noPostgres = await onPostgres("postgres", "SELECT 1").then(
  () => false as const,
  () => "no PostgreSQL to use at 127.0.0.1:5432",
);

test("PostgreSQL: carried over in one transaction, and given back by undo", { skip: noPostgres }, async (context) => {
  const database = `hawser_takeover_${process.pid}`;
  await onPostgres("postgres", `CREATE DATABASE ${database}`);
  context.after(() => onPostgres("postgres", `DROP DATABASE ${database} WITH (FORCE)`));
  await onPostgres(database, postgresDump);
  const target = { ...server, database, ssl: false };
  const dry = summaryOf(await dryRunPostgres(target, tools));
  const real = summaryOf(await takeOverPostgres(target, tools));
  assert.deepEqual(dry.report, real.report);
  const opening = await openPostgresStore(target);
  assert.ok(opening.ok);
  await assertCarriedOver(opening.store);
  const { highest } = await opening.store.load();
  assert.equal(highest.user, 7);
  assert.equal(highest.node, 12);
  await opening.store.close();
  assert.equal((await takeOverPostgres(target, tools)).kind, "nothing-to-do");
  const undone = await undoPostgresTakeover(target, now);
  assert.match(undone.kind === "undone" ? undone.kept : "", /^hawser_undone_/);
  assert.equal((await dryRunPostgres(target, tools)).kind, "done");
});
