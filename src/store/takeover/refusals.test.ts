// When a takeover and the way back must not happen, what they say then, and that they leave everything as it was.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  closeSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Client } from "pg";
import type { PostgresTarget } from "../postgres/connection.ts";
import {
  administer,
  dropDatabase,
  freshDatabase,
  postgresServer,
  whyNoPostgres,
} from "../postgres/scratch.test-data.ts";
import { openPostgresStore } from "../postgres/store.ts";
import { openSqliteStore } from "../sqlite.ts";
import type { ConvertTools } from "./convert.ts";
import { postgresDump, sqliteDump } from "./headscale-029.test-data.ts";
import { takeOverPostgres, undoPostgresTakeover } from "./takeover-postgres.ts";
import { dryRunSqlite, takeOverSqlite } from "./takeover-sqlite.ts";
import type { TakeoverOutcome } from "./summary.ts";
import { undoSqliteTakeover } from "./undo-sqlite.ts";

const tools: ConvertTools = {
  hash: (text) => createHash("sha256").update(text).digest("hex"),
  decodeHostinfo: (value) => (typeof value === "object" && value !== null ? value : undefined),
  judgeTags: () => ({ mayTag: () => false }),
};
const noPostgres = (await whyNoPostgres()) ?? false;
const now = Date.UTC(2026, 10, 20, 20, 15);

interface File {
  readonly folder: string;
  readonly path: string;
  /** Runs SQL on it. */
  sql(text: string): void;
  takeOver(at?: number): Promise<TakeoverOutcome>;
}

function headscaleFile(context: TestContext): File {
  const folder = mkdtempSync(join(tmpdir(), "hawser-refusals-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "db.sqlite");
  const sql = (text: string): void => {
    const db = new DatabaseSync(path);
    db.exec(text);
    db.close();
  };
  sql(sqliteDump);
  return {
    folder,
    path,
    sql,
    takeOver: (at = now) =>
      takeOverSqlite({ path, tools, openStore: (file) => openSqliteStore({ path: file }), now: at }),
  };
}

function reasonOf(outcome: { readonly kind: string; readonly reason?: string }): string {
  assert.equal(outcome.kind, "refused", JSON.stringify(outcome));
  return outcome.reason ?? "";
}

test("a database of a headscale to come is refused, by its version or by its migrations", async (context) => {
  for (const change of [
    "UPDATE database_versions SET version = 'v0.30.0'",
    "UPDATE database_versions SET version = 'v1.0.1'",
    "DELETE FROM database_versions; INSERT INTO migrations VALUES ('202701020304-what-comes-next')",
  ]) {
    const file = headscaleFile(context);
    file.sql(change);
    const before = readFileSync(file.path);
    for (const outcome of [dryRunSqlite(file.path, tools), await file.takeOver()]) {
      const reason = reasonOf(outcome);
      assert.match(reason, /newer than 0\.29 \((v0\.30\.0|v1\.0\.1|.*202701020304)\)/);
      assert.match(reason, /Start a newer Hawser/);
    }
    assert.deepEqual(readFileSync(file.path), before);
    assert.deepEqual(readdirSync(file.folder), ["db.sqlite"]);
  }
});

test("a development build's version and a patch of today's are no reason to refuse", async (context) => {
  for (const version of ["dev", "v0.29.7", "", "v0.0.0-20260701120000-abcdef"]) {
    const file = headscaleFile(context);
    file.sql(`UPDATE database_versions SET version = '${version}'`);
    assert.equal((await file.takeOver()).kind, "done", version);
  }
});

test(
  "an idle headscale without a write-ahead log is noticed and named",
  { skip: process.platform !== "linux" },
  async (context) => {
    const file = headscaleFile(context);
    const descriptor = openSync(file.path, "r+");
    const holder = spawn("sleep", ["60"], { stdio: ["ignore", "ignore", "ignore", descriptor] });
    closeSync(descriptor);
    try {
      await once(holder, "spawn");
      assert.equal(
        reasonOf(await file.takeOver()),
        `sleep (process ${holder.pid}) still has db.sqlite open; stop headscale first, then start Hawser again`,
      );
      assert.deepEqual(readdirSync(file.folder), ["db.sqlite"]);
    } finally {
      holder.kill("SIGKILL");
      await once(holder, "exit");
    }
    assert.equal((await file.takeOver()).kind, "done");
  },
);

test("copies can be read by their owner alone, whoever could read headscale's database", async (context) => {
  const file = headscaleFile(context);
  chmodSync(file.path, 0o644);
  assert.equal((await file.takeOver()).kind, "done");
  assert.equal(undoSqliteTakeover(file.path, now + 1000).kind, "undone");
  assert.deepEqual(
    readdirSync(file.folder).map((name) => [name, (statSync(join(file.folder, name)).mode & 0o777).toString(8)]),
    [
      ["db.sqlite", "600"],
      ["db.sqlite.hawser-20261120T201501Z", "600"],
      ["db.sqlite.headscale-0.29-20261120T201500Z", "600"],
    ],
  );
});

test(
  "taken over and undone by root, the database still belongs to the user whose server opens it",
  { skip: process.getuid?.() !== 0 && "needs root" },
  async (context) => {
    const file = headscaleFile(context);
    chownSync(file.path, 4711, 4712);
    assert.equal((await file.takeOver()).kind, "done");
    const owners = (): readonly string[] => [
      ...new Set(
        readdirSync(file.folder).map((name) => {
          const { uid, gid } = statSync(join(file.folder, name));
          return `${uid}:${gid}`;
        }),
      ),
    ];
    assert.deepEqual(owners(), ["4711:4712"]);
    assert.equal(undoSqliteTakeover(file.path, now + 1000).kind, "undone");
    assert.deepEqual(owners(), ["4711:4712"]);
  },
);

test("a link to the database stays a link, and the copy lies beside the file it leads to", async (context) => {
  const file = headscaleFile(context);
  const elsewhere = mkdtempSync(join(tmpdir(), "hawser-link-"));
  context.after(() => rmSync(elsewhere, { recursive: true }));
  const link = join(elsewhere, "db.sqlite");
  symlinkSync(file.path, link);
  const openStore: Parameters<typeof takeOverSqlite>[0]["openStore"] = (path) => openSqliteStore({ path });
  assert.equal((await takeOverSqlite({ path: link, tools, openStore, now })).kind, "done");
  assert.ok(lstatSync(link).isSymbolicLink());
  assert.deepEqual(readdirSync(elsewhere), ["db.sqlite"]);
  assert.equal(undoSqliteTakeover(link, now + 1000).kind, "undone");
  assert.ok(lstatSync(link).isSymbolicLink());
  assert.equal(dryRunSqlite(file.path, tools).kind, "done");
});

test("the way back does not replace what headscale has written since", async (context) => {
  const file = headscaleFile(context);
  assert.equal((await file.takeOver()).kind, "done");
  assert.equal(undoSqliteTakeover(file.path, now + 1000).kind, "undone");
  file.sql("INSERT INTO users (id, name) VALUES (77, 'since then')");
  assert.match(reasonOf(undoSqliteTakeover(file.path, now + 2000)), /is headscale's database already/);
  assert.match(reasonOf(undoSqliteTakeover(file.path, now + 2000)), /nothing was changed/);
  const db = new DatabaseSync(file.path);
  assert.equal(db.prepare("SELECT name FROM users WHERE id = 77").get()?.["name"], "since then");
  db.close();
});

test("the way back waits for nobody who has Hawser's database open", async (context) => {
  const file = headscaleFile(context);
  assert.equal((await file.takeOver()).kind, "done");
  const server = await openSqliteStore({ path: file.path });
  await server.load();
  assert.match(
    reasonOf(undoSqliteTakeover(file.path, now + 1000)),
    /another program still has db\.sqlite open; stop the server first/,
  );
  assert.equal((await server.load()).nodes.length, 2);
  await server.close();
  assert.equal(undoSqliteTakeover(file.path, now + 2000).kind, "undone");
});

test("a damaged database of Hawser's is no obstacle on the way back, and is kept", async (context) => {
  const file = headscaleFile(context);
  assert.equal((await file.takeOver()).kind, "done");
  writeFileSync(file.path, "this was a database");
  const undone = undoSqliteTakeover(file.path, now + 1000);
  assert.ok(undone.kind === "undone");
  assert.equal(readFileSync(undone.kept, "utf8"), "this was a database");
  assert.equal(dryRunSqlite(file.path, tools).kind, "done");
});

async function headscaleDatabase(context: TestContext): Promise<PostgresTarget> {
  const target = await freshDatabase();
  context.after(() => dropDatabase(target));
  await withClient(target, async (client) => void (await client.query(postgresDump)));
  return target;
}

async function withClient(target: PostgresTarget, work: (client: Client) => Promise<void>): Promise<void> {
  const client = new Client({ ...postgresServer, database: target.database });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

test("PostgreSQL: an idle headscale is noticed by its connection", { skip: noPostgres }, async (context) => {
  const target = await headscaleDatabase(context);
  await withClient(target, async (client) => {
    await client.query("SELECT count(*) FROM nodes");
    assert.match(
      reasonOf(await takeOverPostgres(target, tools)),
      /another program \(on 127\.0\.0\.1.*\) is connected to the database .*; stop headscale .*first/,
    );
    assert.equal((await client.query("SELECT * FROM nodes")).rowCount, 2);
  });
  assert.equal((await takeOverPostgres(target, tools)).kind, "done");
});

test("PostgreSQL: a role that may not make schemas is told what to grant", { skip: noPostgres }, async (context) => {
  const owner = await headscaleDatabase(context);
  // Not the number alone: a run that was killed leaves its role, and its process's number is given again.
  const user = `hawser_test_role_${process.pid}_${Date.now()}`;
  await administer(`CREATE ROLE ${user} LOGIN`);
  context.after(() => administer(`DROP ROLE ${user}`));
  await withClient(owner, async (client) => {
    await client.query(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${user}`);
    await client.query(`GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO ${user}`);
  });
  const reason = reasonOf(await takeOverPostgres({ ...owner, user }, tools));
  assert.match(reason, new RegExp(`GRANT CREATE ON DATABASE ${owner.database} TO ${user}`));
  await withClient(owner, async (client) => {
    assert.equal((await client.query("SELECT * FROM nodes")).rowCount, 2);
    await client.query(`DROP OWNED BY ${user}`);
  });
});

test(
  "PostgreSQL: a role that does not own the tables is told how to get them",
  { skip: noPostgres },
  async (context) => {
    const owner = await headscaleDatabase(context);
    const user = `hawser_test_reader_${process.pid}_${Date.now()}`;
    await administer(`CREATE ROLE ${user} LOGIN`);
    context.after(() => administer(`DROP ROLE ${user}`));
    await administer(`GRANT CREATE ON DATABASE ${owner.database} TO ${user}`);
    await withClient(owner, async (client) => {
      await client.query(`GRANT ALL ON ALL TABLES IN SCHEMA public TO ${user}`);
      await client.query(`GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO ${user}`);
    });
    const reason = reasonOf(await takeOverPostgres({ ...owner, user }, tools));
    const advice = /run: (.*)$/.exec(reason)?.[1] ?? "";
    await withClient(owner, async (client) => {
      assert.equal((await client.query("SELECT * FROM nodes")).rowCount, 2);
      await client.query(advice);
    });
    assert.equal((await takeOverPostgres({ ...owner, user }, tools)).kind, "done");
    // Since PostgreSQL 15 not everybody may make tables in public; the way back needs it.
    const back = reasonOf(await undoPostgresTakeover({ ...owner, user }, now));
    await withClient(owner, async (client) => {
      await client.query(/run: (.*)$/.exec(back)?.[1] ?? "");
    });
    assert.equal((await undoPostgresTakeover({ ...owner, user }, now)).kind, "undone");
    await withClient(owner, async (client) => {
      assert.equal((await client.query("SELECT * FROM public.nodes")).rowCount, 2);
      await client.query(`DROP OWNED BY ${user}`);
    });
  },
);

test("PostgreSQL: the way back is refused while the server runs", { skip: noPostgres }, async (context) => {
  const target = await headscaleDatabase(context);
  assert.equal((await takeOverPostgres(target, tools)).kind, "done");
  const opening = await openPostgresStore(target);
  assert.ok(opening.ok);
  assert.match(reasonOf(await undoPostgresTakeover(target, now)), /in use by hawser on .*stop that server first/);
  assert.equal((await opening.store.load()).nodes.length, 2);
  await opening.store.close();
  assert.equal((await undoPostgresTakeover(target, now)).kind, "undone");
});

test("PostgreSQL: a database of a headscale to come is refused", { skip: noPostgres }, async (context) => {
  const target = await headscaleDatabase(context);
  await withClient(target, async (client) => {
    await client.query("UPDATE database_versions SET version = 'v0.31.2'");
  });
  assert.match(reasonOf(await takeOverPostgres(target, tools)), /newer than 0\.29 \(v0\.31\.2\)/);
});

test(
  "PostgreSQL: tables are found, and put back, where the role's search_path has them",
  { skip: noPostgres },
  async (context) => {
    const target = await freshDatabase();
    context.after(() => dropDatabase(target));
    const schema = `Odd "schema"'s`;
    const quoted = `"${schema.replaceAll('"', '""')}"`;
    await administer(`ALTER DATABASE ${target.database} SET search_path = ${quoted}, public`);
    await withClient(target, async (client) => {
      await client.query(`CREATE SCHEMA ${quoted}`);
      // Made beforehand by whoever gives out rights; empty, it is no reason to begin from nothing.
      await client.query("CREATE SCHEMA hawser");
      await client.query(postgresDump);
    });
    assert.equal((await takeOverPostgres(target, tools)).kind, "done");
    assert.equal((await undoPostgresTakeover(target, now)).kind, "undone");
    await withClient(target, async (client) => {
      const { rows } = await client.query(
        "SELECT DISTINCT schemaname AS name FROM pg_tables WHERE tablename = 'nodes'",
      );
      assert.deepEqual(rows.map((row: { readonly name: string }) => row.name).sort(), [schema, `hawser_undone_${now}`]);
    });
    const again = await takeOverPostgres(target, tools);
    assert.ok(again.kind === "done");
    assert.deepEqual([again.summary.counts.nodes, again.summary.counts.users], [2, 2]);
  },
);

test(
  "PostgreSQL: ids and times beyond what can be told apart hurt nobody else",
  { skip: noPostgres },
  async (context) => {
    const target = await headscaleDatabase(context);
    await withClient(target, async (client) => {
      await client.query(`INSERT INTO users (id, name, created_at) VALUES (9007199254740993, 'huge', now());
      UPDATE nodes SET expiry = 'infinity', last_seen = '-infinity' WHERE id = 5;
      SELECT setval('nodes_id_seq', 9007199254740995)`);
    });
    const outcome = await takeOverPostgres(target, tools);
    assert.ok(outcome.kind === "done");
    assert.deepEqual([outcome.summary.counts.users, outcome.summary.counts.nodes], [2, 2]);
    const opening = await openPostgresStore(target);
    assert.ok(opening.ok);
    const { nodes, highest } = await opening.store.load();
    await opening.store.close();
    assert.deepEqual([nodes[0]?.record.expiry, nodes[0]?.presence.lastSeen, highest.node], [null, null, 9]);
  },
);
