// What is done to a database as a whole (a takeover, the way back, a copy) stands in the audit log of the database that
// results, and that log holds together.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Client } from "pg";
import type { PostgresConfig } from "../src/config/config.ts";
import { takeOverAlone, undoTakeover } from "../src/server/takeover-part.ts";
import { openPostgresStore } from "../src/store/postgres/store.ts";
import { dropDatabase, freshDatabase, postgresServer, whyNoPostgres } from "../src/store/postgres/scratch.test-data.ts";
import { postgresDump } from "../src/store/takeover/headscale-029.test-data.ts";
import { sha256 } from "../src/store/audit.ts";
import { verifyAudit } from "../src/tailnet/audit-chain.ts";
import { type Env, runProgram, startServerProcess } from "./hawser-process.ts";
import { installHeadscale } from "./headscale-installation.ts";
import { scratchFolder } from "./scratch-folder.ts";

interface Entry {
  /** Kind and name. */
  readonly actor: readonly [string, string];
  readonly action: string;
  readonly target: string;
  readonly after: unknown;
}

interface World {
  readonly database: string;
  run(words: string): Promise<void>;
  /** What the log of this database holds, as a server on it says, which also finds it sound. */
  log(database: string): Promise<readonly Entry[]>;
}

async function world(context: TestContext): Promise<World> {
  const folder = scratchFolder(context, "audited");
  const { configFile, database, url } = await installHeadscale(folder);
  const env: Env = { HAWSER_DATA_DIR: join(folder, "hawser") };
  const words = ["--config", configFile];
  const said = async (text: string, more: Env = env): Promise<string> => {
    const { code, stdout, stderr } = await runProgram([...words, ...text.split(" ")], more);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  return {
    database,
    run: async (text) => void (await said(text)),
    async log(path) {
      const there: Env = { ...env, HAWSER_DATABASE_SQLITE_PATH: path };
      const server = await startServerProcess(words, url, there);
      try {
        assert.match(await said("audit verify", there), /^The audit log is whole: /);
        const lines = (await said("audit export", there)).trim().split("\n");
        return lines.map((line) => entryOf(JSON.parse(line)));
      } finally {
        await server.stop();
      }
    },
  };
}

function entryOf(line: unknown): Entry {
  const field = (name: string): unknown =>
    typeof line === "object" && line !== null ? new Map<string, unknown>(Object.entries(line)).get(name) : undefined;
  return {
    actor: [String(field("actorKind")), String(field("actorId"))],
    action: String(field("action")),
    target: String(field("target")),
    after: field("after"),
  };
}

const operator = userInfo().username;
const counts = { users: 2, nodes: 2, preAuthKeys: 2, apiKeys: 2, policies: 3 };

test("SQLite: takeover, copy and the way back are in the log of what they leave", async (context) => {
  const it = await world(context);
  await it.run("takeover");
  const copy = `${it.database}.copy`;
  await it.run(`db copy --from sqlite:${it.database} --to sqlite:${copy}`);
  await it.run("takeover --undo");

  const taken = {
    actor: ["cli", operator],
    action: "takeover",
    target: `sqlite:${it.database}`,
    after: { from: "headscale 0.29", counts, report: { changed: 1 } },
  };
  assert.deepEqual(await it.log(copy), [
    taken,
    {
      actor: ["cli", operator],
      action: "database.copy",
      target: `sqlite:${copy}`,
      after: { from: `sqlite:${it.database}`, counts: { ...counts, auditEntries: 1 } },
    },
  ]);
  const folder = join(it.database, "..");
  const file = (form: RegExp): string => join(folder, readdirSync(folder).find((name) => form.test(name)) ?? "");
  const kept = file(/\.hawser-\d{8}T\d{6}Z$/);
  const restored = file(/\.headscale-0\.29-\d{8}T\d{6}Z$/);
  assert.deepEqual(await it.log(kept), [
    taken,
    { actor: ["cli", operator], action: "takeover.undo", target: `sqlite:${it.database}`, after: { kept, restored } },
  ]);
});

test("SQLite: a takeover at the start of the server is the server's", async (context) => {
  const it = await world(context);
  const [taken] = await it.log(it.database);
  assert.deepEqual([taken?.action, taken?.actor], ["takeover", ["server", "start"]]);
});

const noPostgres = await whyNoPostgres();

test("PostgreSQL: takeover and the way back are in the log", { skip: noPostgres }, async (context) => {
  const target = await freshDatabase();
  context.after(() => dropDatabase(target));
  const query = async (sql: string): Promise<readonly Readonly<Record<string, unknown>>[]> => {
    const client = new Client({ ...postgresServer, database: target.database });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      await client.end();
    }
  };
  await query(postgresDump);
  const database: PostgresConfig = {
    type: "postgres",
    debug: false,
    host: target.host,
    port: target.port,
    name: target.database,
    user: target.user,
    pass: target.password,
    sslMode: "disable",
    maxOpenConns: 10,
    maxIdleConns: 10,
    connMaxIdleTime: 0,
  };
  const policy = { mode: "database", path: "" } as const;
  const outcome = await takeOverAlone({ database, policy, serverUrl: "https://control.example.com" });
  assert.equal(outcome.kind, "done", JSON.stringify(outcome));
  assert.equal((await undoTakeover(database)).kind, "undone");
  const [schema] = await query("SELECT nspname AS name FROM pg_namespace WHERE nspname LIKE 'hawser_undone_%'");
  // As somebody would who wants Hawser's data back.
  await query(`ALTER SCHEMA ${String(schema?.["name"])} RENAME TO hawser`);
  const opening = await openPostgresStore(target);
  assert.ok(opening.ok);
  try {
    assert.deepEqual((await verifyAudit(opening.store, sha256)).faults, []);
    const entries = await opening.store.auditLog({ after: 0, limit: 10 });
    const place = `postgres://${target.host}/${target.database}`;
    assert.deepEqual(
      entries.map(({ actorKind, actorId, action, target: of }) => [actorKind, actorId, action, of]),
      [
        ["cli", operator, "takeover", place],
        ["cli", operator, "takeover.undo", place],
      ],
    );
    assert.deepEqual(JSON.parse(entries[1]?.after ?? ""), { kept: `schema ${String(schema?.["name"])}` });
  } finally {
    await opening.store.close();
  }
});
