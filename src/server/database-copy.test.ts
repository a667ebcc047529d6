// What db copy makes of the names it is given, and that it never makes or changes what it was only to read.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Client } from "pg";
import { dropDatabase, freshDatabase, postgresServer, whyNoPostgres } from "../store/postgres/scratch.test-data.ts";
import { openPostgresStore } from "../store/postgres/store.ts";
import { openSqliteStore } from "../store/sqlite.ts";
import { sampleNode, sampleUser } from "../store/store-suite.ts";
import { postgresDump, sqliteDump } from "../store/takeover/headscale-029.test-data.ts";
import { copyDatabase } from "./database-copy.ts";

const noPostgres = (await whyNoPostgres()) ?? false;

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "hawser-copy-"));
  context.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

async function refusal(from: string, to: string): Promise<string> {
  const outcome = await copyDatabase({ kind: "named", text: from }, { kind: "named", text: to });
  assert.ok(!outcome.ok, JSON.stringify(outcome));
  return outcome.reason;
}

test("a source that is not there is not made", async (context) => {
  const folder = folderOf(context);
  const [typo, target] = [join(folder, "typo.sqlite"), join(folder, "new.sqlite")];
  assert.equal(await refusal(typo, target), `there is no database at ${typo}`);
  assert.deepEqual([existsSync(typo), existsSync(target)], [false, false]);
});

test("headscale's database is neither copied nor copied into before it is taken over", async (context) => {
  const folder = folderOf(context);
  const path = join(folder, "db.sqlite");
  const db = new DatabaseSync(path);
  db.exec(sqliteDump);
  db.close();
  const before = readFileSync(path);
  assert.match(
    await refusal(path, join(folder, "new.sqlite")),
    /headscale database; take it over first: hawser takeover/,
  );
  await (await openSqliteStore({ path: join(folder, "ours.sqlite") })).close();
  assert.match(await refusal(join(folder, "ours.sqlite"), path), /another program; it was left untouched/);
  assert.deepEqual(readFileSync(path), before);
});

test("a database is not copied into itself", async (context) => {
  const path = join(folderOf(context), "db.sqlite");
  await (await openSqliteStore({ path })).close();
  assert.match(await refusal(path, `sqlite:${path}`), /in use by process/);
});

test("a URL that cannot be read is told how to write it", async (context) => {
  const path = join(folderOf(context), "db.sqlite");
  await (await openSqliteStore({ path })).close();
  assert.match(await refusal(path, "postgres://me:pa#ss@db/hawser"), /%23/);
  assert.match(await refusal(path, "postgres://me@db"), /names no database/);
});

test(
  "PostgreSQL as a source keeps headscale's tables, and nothing, as they are",
  { skip: noPostgres },
  async (context) => {
    const target = await freshDatabase();
    context.after(() => dropDatabase(target));
    const url = `postgres://${postgresServer.user}:${encodeURIComponent(postgresServer.password)}@127.0.0.1/${target.database}`;
    const copy = join(folderOf(context), "new.sqlite");
    assert.match(await refusal(url, copy), /holds nothing of Hawser's/);
    const client = new Client({ ...postgresServer, database: target.database });
    await client.connect();
    try {
      await client.query(postgresDump);
      assert.match(await refusal(url, copy), /headscale database; take it over first/);
      const { rows } = await client.query("SELECT nspname FROM pg_namespace WHERE nspname = 'hawser'");
      assert.deepEqual(rows, []);
    } finally {
      await client.end();
    }
  },
);

test(
  "what clients may send goes through PostgreSQL and back: NUL, half a character, long lists",
  { skip: noPostgres },
  async (context) => {
    const target = await freshDatabase();
    context.after(() => dropDatabase(target));
    const path = join(folderOf(context), "db.sqlite");
    const store = await openSqliteStore({ path });
    const odd = sampleNode(5, { userId: sampleUser(1).id, tags: [] });
    const routes = Array.from({ length: 4000 }, (_, index) => `10.${index >> 8}.${index & 255}.0/24`);
    const presence = {
      hostinfo: { OS: "a\u0000b", Hostname: "\ud800x", RoutableIPs: routes },
      discoKey: null,
      endpoints: [],
      homeDerp: 2 ** 31 - 1,
      capVersion: 142,
      lastSeen: null,
    };
    await store.commit([
      [
        { kind: "put-user", user: sampleUser(1, { displayName: "Zoë 🦆 'quoted' \\ back" }) },
        { kind: "put-node", node: odd, presence },
      ],
    ]);
    const original = await store.load();
    await store.close();
    const parameters = new URLSearchParams({ host: "127.0.0.1", user: postgresServer.user, dbname: target.database });
    parameters.set("password", postgresServer.password);
    const outcome = await copyDatabase(
      { kind: "named", text: path },
      { kind: "named", text: `postgres:///?${parameters.toString()}` },
    );
    assert.ok(outcome.ok, JSON.stringify(outcome));
    const opening = await openPostgresStore(target);
    assert.ok(opening.ok);
    const copied = await opening.store.load();
    await opening.store.close();
    assert.deepEqual({ ...copied, sequence: 0 }, { ...original, sequence: 0 });
  },
);
