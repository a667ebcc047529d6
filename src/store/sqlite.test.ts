import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { verifyAudit } from "../tailnet/audit-chain.ts";
import { sha256 } from "./audit.ts";
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

function defined<Value>(value: Value | undefined): Value {
  assert.ok(value !== undefined);
  return value;
}

function place(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "hawser-store-"));
  context.after(() => rmSync(folder, { recursive: true }));
  return join(folder, "data", "db.sqlite");
}

test("a store that nobody closed does not keep its process alive", async (context) => {
  const path = place(context);
  const module = new URL("./sqlite-thread.ts", import.meta.url).href;
  const script = `const { openSqliteThread } = await import(process.argv[1]);
    const store = await openSqliteThread({ path: process.argv[2] });
    console.log((await store.load()).sequence);`;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", script, module, path], { timeout: 90_000 });
  assert.deepEqual([child.status, child.stdout.toString()], [0, "0\n"]);
});

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
  await assert.rejects(openSqliteStore({ path }), /db\.sqlite was written by a newer version \(schema 3; .* up to 2\)/);
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
  await assert.rejects(openSqliteStore({ path, migrations: broken }), /migration 3 \(broken\) failed: /);
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

test("entries from before there was a chain are linked in their order", async (context) => {
  const path = place(context);
  await (await openSqliteStore({ path, migrations: sqliteMigrations.slice(0, 1) })).close();
  const old = new DatabaseSync(path);
  const insert = old.prepare("INSERT INTO audit VALUES (?, 1, ?, 'cli', 'root', '', ?, 'user:1', '', '{}')");
  for (const [id, at, action] of [
    [3, 30, "a"],
    [4, 10, "b ☃"],
    [9, 20, "c"],
  ] as const) {
    insert.run(id, at, action);
  }
  old.close();
  const store = await openSqliteStore({ path });
  const verdict = await verifyAudit(store, sha256);
  assert.deepEqual([verdict.faults, verdict.entries, verdict.head.id], [[], 3, 9]);
  await store.commit([
    [{ kind: "audit", entry: { ...defined((await store.auditLog({ limit: 1 }))[0]), action: "d" } }],
  ]);
  assert.deepEqual((await verifyAudit(store, sha256)).faults, []);
  assert.deepEqual(
    (await store.auditLog({ after: 0, limit: 9 })).map(({ id, action }) => [id, action]),
    [
      [3, "a"],
      [4, "b ☃"],
      [9, "c"],
      [10, "d"],
    ],
  );
  await store.close();
});

/** What somebody with the file in hand may do to it, past the triggers. */
const tamperings: readonly (readonly [string, string])[] = [
  ["an entry's text is changed", 'UPDATE audit SET after = \'{"name":"mallory"}\' WHERE id = 4'],
  ["an entry's time is changed", "UPDATE audit SET at = at + 1 WHERE id = 4"],
  ["who did it is changed", "UPDATE audit SET actor_id = 'somebody' WHERE id = 1"],
  ["an entry is removed", "DELETE FROM audit WHERE id = 4"],
  ["the first entries are removed", "DELETE FROM audit WHERE id <= 3"],
  ["the newest entry is removed", "DELETE FROM audit WHERE id = 8"],
  ["all entries are removed", "DELETE FROM audit"],
  ["the newest entry is removed and the chain's end set to the one before", cutTail(8)],
  [
    "two entries change places",
    "UPDATE audit SET id = 100 WHERE id = 4; UPDATE audit SET id = 4 WHERE id = 5; UPDATE audit SET id = 5 WHERE id = 100",
  ],
  [
    "an entry is added in the middle",
    "UPDATE audit SET id = id + 100 WHERE id > 4; UPDATE audit SET id = id - 99 WHERE id > 100;" +
      "INSERT INTO audit SELECT 5, tailnet, at, actor_kind, actor_id, from_address, action, target, before, after, previous_hash, hash FROM audit WHERE id = 4",
  ],
  [
    "an entry is added at the end past the server",
    "INSERT INTO audit SELECT 9, tailnet, at, actor_kind, actor_id, from_address, 'x', target, before, after, previous_hash, hash FROM audit WHERE id = 8",
  ],
  [
    "the beginning is cut off and called pruned",
    "UPDATE audit_chain SET anchor_id = 3, anchor_hash = (SELECT hash FROM audit WHERE id = 3); DELETE FROM audit WHERE id <= 3",
  ],
  ["a row is made unreadable", "UPDATE audit SET at = 9223372036854775807 WHERE id = 4"],
];

/** The one thing that the database alone cannot show; a hash that was noted elsewhere does. */
function cutTail(id: number): string {
  return (
    `DELETE FROM audit WHERE id = ${id}; UPDATE audit_chain SET head_id = ${id - 1}, ` +
    `head_hash = (SELECT hash FROM audit WHERE id = ${id - 1})`
  );
}

for (const [what, sql] of tamperings) {
  test(`tampering with the audit log is found: ${what}`, async (context) => {
    const path = place(context);
    const store = await openSqliteStore({ path });
    const entry = { at: 1, actorKind: "cli", actorId: "root", from: "", target: "", before: "", after: "" };
    for (let i = 1; i <= 8; i++) {
      await store.commit([[{ kind: "audit", entry: { ...entry, at: i, action: `a${i}` } }]]);
    }
    const noted = (await store.auditChain()).head.hash;
    await store.close();
    const db = new DatabaseSync(path);
    assert.throws(() => db.exec("UPDATE audit SET action = 'x' WHERE id = 2"), /append-only/);
    assert.throws(() => db.exec("DELETE FROM audit WHERE id = 2"), /append-only/);
    db.exec(`DROP TRIGGER audit_unchanged; DROP TRIGGER audit_kept; ${sql}`);
    db.close();
    const after = await openSqliteStore({ path });
    assert.equal((await verifyAudit(after, sha256, noted)).ok, false);
    if (sql !== cutTail(8)) {
      assert.equal((await verifyAudit(after, sha256)).ok, false, "without a noted hash");
    }
    await after.close();
  });
}
