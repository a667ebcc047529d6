// A database whose last writer was killed in the middle of a transaction, without a write-ahead log: the file holds pages
// of what was never committed, and the journal beside it what was there before.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { openSqliteStore } from "../sqlite.ts";
import type { ConvertTools } from "./convert.ts";
import { sqliteDump } from "./headscale-029.test-data.ts";
import { dryRunSqlite, takeOverSqlite } from "./takeover-sqlite.ts";
import { undoSqliteTakeover } from "./undo-sqlite.ts";

const tools: ConvertTools = {
  hash: (text) => createHash("sha256").update(text).digest("hex"),
  decodeHostinfo: (value) => (typeof value === "object" && value !== null ? value : undefined),
  judgeTags: () => ({ mayTag: () => false }),
};
const now = Date.UTC(2026, 10, 20, 20, 15);

/** headscale's database as it lies there after a kill that came before its commit. */
function halfWritten(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "hawser-half-written-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const [alive, path] = [join(folder, "alive.sqlite"), join(folder, "db.sqlite")];
  const db = new DatabaseSync(alive);
  db.exec(sqliteDump);
  // Pages leave the cache for the file before the commit.
  db.exec("PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN");
  db.exec("UPDATE users SET name = 'never-committed' || id");
  db.exec("CREATE TABLE padding (text TEXT)");
  const insert = db.prepare("INSERT INTO padding VALUES (?)");
  for (let row = 0; row < 500; row++) {
    insert.run("x".repeat(2000));
  }
  copyFileSync(alive, path);
  copyFileSync(`${alive}-journal`, `${path}-journal`);
  db.close();
  assert.ok(statSync(`${path}-journal`).size > 512);
  const reader = new DatabaseSync(path, { readOnly: true });
  assert.throws(() => reader.prepare("SELECT 1 FROM users").all(), /readonly/, "it cannot be read as it is");
  reader.close();
  return path;
}

test("half a transaction of headscale's is rolled back, then taken over", async (context) => {
  const path = halfWritten(context);
  const outcome = await takeOverSqlite({ path, tools, openStore: (file) => openSqliteStore({ path: file }), now });
  assert.equal(outcome.kind, "done", JSON.stringify(outcome));
  const store = await openSqliteStore({ path });
  assert.deepEqual(
    (await store.load()).users.map((user) => user.name),
    ["alice", "infra"],
  );
  await store.close();
  assert.equal(undoSqliteTakeover(path, now + 1000).kind, "undone");
});

test("a dry run reports what was committed, whatever half a transaction lies there", (context) => {
  const path = halfWritten(context);
  const outcome = dryRunSqlite(path, tools);
  assert.ok(outcome.kind === "done", JSON.stringify(outcome));
  assert.equal(outcome.summary.counts.users, 2);
});

test("the journal of a damaged database is not applied to the one put back in its place", async (context) => {
  const path = halfWritten(context);
  const outcome = await takeOverSqlite({ path, tools, openStore: (file) => openSqliteStore({ path: file }), now });
  assert.equal(outcome.kind, "done");
  writeFileSync(path, "this was a database");
  writeFileSync(`${path}-journal`, "this was a journal");
  assert.equal(undoSqliteTakeover(path, now + 1000).kind, "undone");
  assert.equal(existsSync(`${path}-journal`), false);
  assert.equal(dryRunSqlite(path, tools).kind, "done");
});
