// What a takeover says where the system or the database is against it, and that a look needs no right to write.
import assert from "node:assert/strict";
import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { PostgresConfig } from "../config/config.ts";
import { sqliteDump } from "../store/takeover/headscale-029.test-data.ts";
import { dryRunTakeover, takeOverAlone, undoTakeover } from "./takeover-part.ts";
import type { TakeoverConfig } from "./takeover-part.ts";

function onFile(path: string): TakeoverConfig {
  return {
    database: { type: "sqlite", debug: false, path, writeAheadLog: true, walAutocheckpoint: 1000 },
    policy: { mode: "database", path: "" },
    serverUrl: "http://127.0.0.1:8080",
  };
}

/** A folder that may be looked into but not written to, by whoever runs this; root becomes nobody meanwhile. */
async function whereNothingIsWritten(folder: string, look: () => Promise<void>): Promise<void> {
  const isRoot = process.geteuid?.() === 0;
  chmodSync(folder, 0o555);
  if (isRoot) {
    process.seteuid?.(65534);
  }
  try {
    await look();
  } finally {
    if (isRoot) {
      process.seteuid?.(0);
    }
    chmodSync(folder, 0o755);
  }
}

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "hawser-look-"));
  chmodSync(folder, 0o755);
  context.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** headscale's database, killed with a write-ahead log beside it that holds one more user. */
function killedHeadscale(folder: string): string {
  const path = join(folder, "db.sqlite");
  const db = new DatabaseSync(join(folder, "live"));
  db.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
  db.exec(sqliteDump);
  db.exec("PRAGMA wal_checkpoint; INSERT INTO users (id, name) VALUES (50, 'in the log')");
  copyFileSync(join(folder, "live"), path);
  copyFileSync(join(folder, "live-wal"), `${path}-wal`);
  db.close();
  for (const name of readdirSync(folder).filter((name) => name.startsWith("live"))) {
    rmSync(join(folder, name));
  }
  for (const name of readdirSync(folder)) {
    chmodSync(join(folder, name), 0o444);
  }
  return path;
}

test("a dry run needs no right to write, and reads a log that was left behind", async (context) => {
  const folder = folderOf(context);
  const path = killedHeadscale(folder);
  const before = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]);
  await whereNothingIsWritten(folder, async () => {
    const outcome = await dryRunTakeover(onFile(path));
    assert.ok(outcome.kind === "done", JSON.stringify(outcome));
    assert.equal(outcome.summary.counts.users, 3);
  });
  assert.deepEqual(
    readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]),
    before,
  );
});

test("where this user may not write, takeover and the way back say so and change nothing", async (context) => {
  const folder = folderOf(context);
  const path = killedHeadscale(folder);
  await whereNothingIsWritten(folder, async () => {
    for (const outcome of [await takeOverAlone(onFile(path)), await undoTakeover(onFile(path).database)]) {
      assert.ok(outcome.kind === "refused", JSON.stringify(outcome));
      assert.match(outcome.reason, /^this user must be able to read and to write .*db\.sqlite and its folder \(EACCES/);
    }
  });
  assert.deepEqual(readdirSync(folder), ["db.sqlite", "db.sqlite-wal"]);
});

test("a file that is no database is named", async (context) => {
  const path = join(folderOf(context), "db.sqlite");
  writeFileSync(path, "not a database, however long one reads".repeat(100));
  const outcome = await dryRunTakeover(onFile(path));
  assert.deepEqual(outcome, { kind: "refused", reason: `${path} cannot be used: file is not a database` });
  renameSync(path, `${path}.away`);
  assert.equal((await dryRunTakeover(onFile(path))).kind, "nothing-to-do");
});

test("a PostgreSQL that is not there is named, by each of the commands", async () => {
  const database: PostgresConfig = {
    type: "postgres",
    debug: false,
    host: "127.0.0.1",
    port: 1,
    name: "headscale",
    user: "headscale",
    pass: "secret",
    sslMode: "disable",
    maxOpenConns: 10,
    maxIdleConns: 10,
    connMaxIdleTime: 3_600_000,
  };
  const config: TakeoverConfig = { ...onFile(""), database };
  for (const outcome of [await dryRunTakeover(config), await takeOverAlone(config), await undoTakeover(database)]) {
    assert.deepEqual(outcome, {
      kind: "refused",
      reason: "the database headscale at 127.0.0.1 cannot be used: connect ECONNREFUSED 127.0.0.1:1",
    });
  }
});
