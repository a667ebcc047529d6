import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { sqliteMigrations } from "./migrations/sqlite.ts";
import { openSqliteThread } from "./sqlite-thread.ts";
import { openSqliteStore } from "./sqlite.ts";
import { sampleNode, sampleUser, storeSuite } from "./store-suite.ts";

for (const [name, open] of [
  ["SQLite", openSqliteStore],
  ["SQLite on its thread", openSqliteThread],
] as const) {
  storeSuite(name, async () => {
    const folder = mkdtempSync(join(tmpdir(), "hawser-store-"));
    return {
      open: () => open({ path: join(folder, "data", "db.sqlite") }),
      dispose: async () => rmSync(folder, { recursive: true }),
    };
  });
}

test("a thread that cannot use the file says why, and what it leaves out", async (context) => {
  const path = place(context);
  const newer = [...sqliteMigrations, { name: "later", sql: "CREATE TABLE later (id INTEGER) STRICT" }];
  await (await openSqliteStore({ path, migrations: newer })).close();
  await assert.rejects(openSqliteThread({ path }), /db\.sqlite was written by a newer version/);
  const other = `${path}-2`;
  const store = await openSqliteStore({ path: other });
  await store.commit([[{ kind: "put-node", node: sampleNode(1) }]]);
  await store.close();
  const db = new DatabaseSync(other);
  db.exec("UPDATE nodes SET tags = '[1'");
  db.close();
  const warnings: string[] = [];
  const threaded = await openSqliteThread({ path: other, warn: (text) => warnings.push(text) });
  assert.deepEqual((await threaded.load()).nodes, []);
  assert.deepEqual(warnings, ["row 1 of nodes is left out: tags is no JSON"]);
  await threaded.close();
});

function place(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "hawser-store-"));
  context.after(() => rmSync(folder, { recursive: true }));
  return join(folder, "data", "db.sqlite");
}

test("the folder and the files belong to the owner alone", async (context) => {
  const path = place(context);
  const store = await openSqliteStore({ path });
  await store.commit([[{ kind: "put-user", user: sampleUser(1) }]]);
  assert.equal(statSync(join(path, "..")).mode & 0o777, 0o700);
  for (const suffix of ["", "-wal", "-shm"]) {
    assert.equal(statSync(path + suffix).mode & 0o777, 0o600, suffix);
  }
  await store.close();
});

test("the write-ahead log is used unless it is turned off", async (context) => {
  const path = place(context);
  const store = await openSqliteStore({ path });
  await store.commit([[{ kind: "put-user", user: sampleUser(1) }]]);
  assert.ok(statSync(`${path}-wal`).size > 0);
  await store.close();
  const plain = await openSqliteStore({ path, writeAheadLog: false });
  await plain.commit([[{ kind: "put-user", user: sampleUser(2) }]]);
  assert.throws(() => statSync(`${path}-wal`), /ENOENT/);
  await plain.close();
});

test("a database of a newer version is refused and left as it is", async (context) => {
  const path = place(context);
  const newer = [...sqliteMigrations, { name: "later", sql: "CREATE TABLE later (id INTEGER) STRICT" }];
  await (await openSqliteStore({ path, migrations: newer })).close();
  const before = readFileSync(path);
  await assert.rejects(openSqliteStore({ path }), /db\.sqlite was written by a newer version \(schema 2; .* up to 1\)/);
  assert.deepEqual(readFileSync(path), before);
});

test("a database is brought to the present schema with its data", async (context) => {
  const path = place(context);
  const store = await openSqliteStore({ path });
  await store.commit([[{ kind: "put-user", user: sampleUser(1) }]]);
  await store.close();
  const newer = [...sqliteMigrations, { name: "later", sql: "ALTER TABLE users ADD COLUMN later TEXT" }];
  const migrated = await openSqliteStore({ path, migrations: newer });
  assert.deepEqual((await migrated.load()).users, [sampleUser(1)]);
  await migrated.close();
});

test("a migration that fails leaves the database as it was", async (context) => {
  const path = place(context);
  await (await openSqliteStore({ path })).close();
  const broken = [...sqliteMigrations, { name: "broken", sql: "CREATE TABLE half (id INTEGER); SELECT nonsense" }];
  await assert.rejects(openSqliteStore({ path, migrations: broken }), /migration 2 \(broken\) failed: /);
  const store = await openSqliteStore({ path });
  assert.equal((await store.load()).sequence, 0);
  await store.close();
});

test("a database of another program, and what is no database, are refused and left as they are", async (context) => {
  const path = place(context);
  mkdirSync(join(path, ".."));
  const other = new DatabaseSync(path);
  other.exec("CREATE TABLE migrations (id TEXT)");
  other.close();
  const before = readFileSync(path);
  await assert.rejects(openSqliteStore({ path }), /db\.sqlite is a database of another program; it was left untouched/);
  assert.deepEqual(readFileSync(path), before);
  writeFileSync(path, "no database at all, but long enough to be taken for the header of one ".repeat(20));
  await assert.rejects(openSqliteStore({ path }), /db\.sqlite cannot be read as a database: /);
});

test("a damaged row is told of and left out; the others are loaded", async (context) => {
  const path = place(context);
  const store = await openSqliteStore({ path });
  await store.commit([1, 2, 3].map((id) => [{ kind: "put-node", node: sampleNode(id) }]));
  await store.close();
  const db = new DatabaseSync(path);
  db.exec("UPDATE nodes SET machine_key = 'mkey:zz' WHERE id = 1");
  db.exec("UPDATE nodes SET tags = '[1' WHERE id = 3");
  db.close();
  const warnings: string[] = [];
  const again = await openSqliteStore({ path, warn: (text) => warnings.push(text) });
  assert.deepEqual(
    (await again.load()).nodes.map(({ record }) => record.id),
    [2],
  );
  assert.deepEqual(warnings, [
    "row 1 of nodes is left out: machine_key is no key",
    "row 3 of nodes is left out: tags is no JSON",
  ]);
  await again.close();
});
