// A takeover or a way back that is killed at any point, or that runs out of room, leaves headscale's database as it was or Hawser's
// complete, never something between; and the next start goes through.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Client } from "pg";
import {
  dropDatabase,
  freshDatabase,
  postgresServer,
  postgresTarget,
  whyNoPostgres,
} from "../src/store/postgres/scratch.test-data.ts";
import { openPostgresStore } from "../src/store/postgres/store.ts";
import { openSqliteStore } from "../src/store/sqlite.ts";
import { postgresDump, sqliteDump } from "../src/store/takeover/headscale-029.test-data.ts";
import type { Store } from "../src/tailnet/store.ts";
import { generousSeconds, startStopwatch } from "./patience.ts";

const noPostgres = (await whyNoPostgres()) ?? false;

const nodes = 1500;

/** More nodes than the two of the dump, so that there is a while to be killed in. */
function manyNodes(): string {
  const key = (kind: string, id: number): string =>
    `${kind}:${createHash("sha256").update(`${kind} ${id}`).digest("hex")}`;
  const rows = Array.from({ length: nodes }, (_, index) => {
    const id = 100 + index;
    const address = `100.70.${Math.floor(id / 250)}.${id % 250}`;
    return `(${id}, '${key("mkey", id)}', '${key("nodekey", id)}', '${key("discokey", id)}', '[]', '{"OS":"linux"}', '${address}', 'n${id}', 'n${id}', 2, 'authkey', '[]')`;
  });
  return `INSERT INTO nodes (id, machine_key, node_key, disco_key, endpoints, host_info, ipv4, hostname, given_name, user_id, register_method, tags) VALUES ${rows.join(", ")};`;
}

/** A database of headscale's to be interrupted over. */
interface Ground {
  readonly place: readonly ["sqlite" | "postgres", string];
  /** Everything in headscale's tables, as one text; undefined when they are not in their place. */
  headscale(): Promise<string | undefined>;
  openHawsers(): Promise<Store>;
}

type End = { readonly kind: "killed" } | { readonly kind: "said"; readonly last: string; readonly ms: number };

type Direction = "there" | "back";

/** A takeover or the way back, killed so many milliseconds after its beginning unless it is over by then. */
async function run(direction: Direction, { place }: Ground, killAfter?: number): Promise<End> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "takeover-child.ts"), direction, ...place], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  let began = 0;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    if (began === 0) {
      began = performance.now();
      if (killAfter !== undefined) {
        setTimeout(() => child.kill("SIGKILL"), killAfter);
      }
    }
    said += text;
  });
  const [, signal] = (await once(child, "close")) as [unknown, string | null];
  return signal === "SIGKILL"
    ? { kind: "killed" }
    : { kind: "said", last: said.trim().split("\n").at(-1) ?? "", ms: performance.now() - began };
}

async function assertComplete(ground: Ground): Promise<void> {
  const store = await ground.openHawsers();
  const snapshot = await store.load();
  assert.deepEqual(
    [snapshot.users.length, snapshot.nodes.length, snapshot.preAuthKeys.length, snapshot.apiKeys.length],
    [2, nodes + 2, 2, 1],
  );
  assert.equal(snapshot.settings["takeover.from"], "headscale 0.29");
  assert.ok(snapshot.highest.node >= 99 + nodes);
  await store.close();
}

/** Runs it to its end; answers with the milliseconds it took. */
async function runThrough(direction: Direction, ground: Ground): Promise<number> {
  const end = await run(direction, ground);
  assert.ok(end.kind === "said" && end.last === (direction === "there" ? "done" : "undone"), JSON.stringify(end));
  return end.ms;
}

/** Kills takeovers, then ways back, at points spread over the time that one takes. */
async function survivesKills(make: () => Promise<Ground>, dispose: (ground: Ground) => Promise<void>): Promise<void> {
  const ground = await make();
  const before = await ground.headscale();
  assert.ok(before !== undefined);
  const took = { there: await runThrough("there", ground), back: await runThrough("back", ground) };
  assert.equal(await ground.headscale(), before);
  const points = 6;
  for (const direction of ["there", "back"] as const) {
    let intact = 0;
    for (let point = 0; point < points || (intact === 0 && point < points + 12); point++) {
      // The first time may have been a slow one. If none of the kills came in time, more come, each sooner.
      const share = point < points ? (point + 0.3) / points : 0.05 / 2 ** (point - points);
      const end = await run(direction, ground, took[direction] * share);
      const now = await ground.headscale();
      if (now === undefined) {
        await assertComplete(ground);
      } else {
        assert.equal(now, before, "headscale's rows are as they were");
      }
      if ((now === undefined) === (direction === "back")) {
        assert.equal(end.kind, "killed");
        intact += 1;
      } else {
        // Killed after the switch, or faster than the first time.
        await runThrough(direction === "there" ? "back" : "there", ground);
      }
    }
    assert.ok(intact > 0, "at least one kill came in time");
    await runThrough(direction, ground);
  }
  assert.equal(await ground.headscale(), before);
  await runThrough("there", ground);
  await assertComplete(ground);
  await dispose(ground);
}

const tables = ["migrations", "database_versions", "users", "nodes", "pre_auth_keys", "api_keys", "policies"];

function sqliteGround(folder: string): Ground {
  const path = join(folder, "db.sqlite");
  const db = new DatabaseSync(path);
  db.exec("PRAGMA journal_mode = WAL");
  db.exec(sqliteDump);
  db.exec(manyNodes());
  db.close();
  return {
    place: ["sqlite", path],
    async headscale() {
      // As headscale opens it: a kill may leave a journal that only a connection that may write can roll back.
      const reader = new DatabaseSync(path);
      try {
        assert.equal(reader.prepare("PRAGMA integrity_check").get()?.["integrity_check"], "ok");
        const there = reader.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'database_versions'").get();
        return there === undefined
          ? undefined
          : JSON.stringify(tables.map((table) => reader.prepare(`SELECT * FROM ${table} ORDER BY id`).all()));
      } finally {
        reader.close();
      }
    },
    openHawsers: () => openSqliteStore({ path }),
  };
}

function scratchFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "hawser-interrupted-"));
  context.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

test("SQLite: killed at any point, there or back, headscale's database is as it was or Hawser's is complete", async (context) => {
  await survivesKills(
    async () => sqliteGround(scratchFolder(context)),
    async ({ place: [, path] }) => {
      const names = readdirSync(join(path, ".."));
      assert.deepEqual(
        names.filter((name) => /(copying|keeping|-new)/.test(name)),
        [],
        "what a killed attempt left is gone after the one that went through",
      );
      assert.ok(names.some((name) => /^db\.sqlite\.headscale-0\.29-\d{8}T\d{6}Z$/.test(name)));
    },
  );
});

test(
  "PostgreSQL: killed at any point, there or back, headscale's tables are as they were or Hawser's are complete",
  { skip: noPostgres },
  async () => {
    await survivesKills(
      async () => postgresGround((await freshDatabase()).database),
      ({ place: [, database] }) => dropDatabase(postgresTarget(database)),
    );
  },
);

async function postgresGround(database: string): Promise<Ground> {
  const ask = async <Answer>(work: (client: Client) => Promise<Answer>): Promise<Answer> => {
    const client = new Client({ ...postgresServer, database });
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  };
  await ask(async (client) => {
    await client.query(postgresDump);
    await client.query(manyNodes());
  });
  return {
    place: ["postgres", database],
    headscale: () =>
      ask(async (client) => {
        // What the killed one left open is rolled back when the database notices; its locks say when.
        await client.query("SET lock_timeout = '90s'");
        const there = await client.query("SELECT to_regclass('public.database_versions') IS NOT NULL AS there");
        const { there: inPlace } = there.rows[0] as { readonly there: boolean };
        if (!inPlace) {
          return undefined;
        }
        const contents: unknown[] = [];
        for (const table of tables) {
          contents.push(
            (await client.query<Record<string, unknown>>(`SELECT * FROM public.${table} ORDER BY id`)).rows,
          );
        }
        const { rows: schemas } = await client.query(
          "SELECT nspname FROM pg_namespace WHERE nspname IN ('hawser', 'headscale_before_hawser')",
        );
        assert.deepEqual(schemas, []);
        return JSON.stringify(contents);
      }),
    async openHawsers() {
      for (const watch = startStopwatch(); ;) {
        const opening = await openPostgresStore(postgresTarget(database));
        if (opening.ok) {
          return opening.store;
        }
        assert.ok(watch.seconds() < generousSeconds, opening.reason);
        await new Promise((wake) => setTimeout(wake, 50));
      }
    },
  };
}

test(
  "on a full disk headscale's database stays as it was, nothing is left lying about, and the reason is said",
  { skip: process.getuid?.() !== 0 && "needs root, to make a small file system" },
  async (context) => {
    const folder = mkdtempSync(join(tmpdir(), "hawser-full-"));
    assert.equal(spawnSync("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", folder]).status, 0);
    context.after(() => {
      spawnSync("umount", [folder]);
      rmSync(folder, { recursive: true });
    });
    const ground = sqliteGround(folder);
    const [, path] = ground.place;
    const before = await ground.headscale();
    const { size } = statSync(path);
    // Room for half a copy; then for the copy and half of Hawser's database.
    for (const room of [0.5, 1.5]) {
      const filler = join(folder, "filler");
      fill(filler, 6 * 1024 * 1024 - size * (1 + room));
      const end = await run("there", ground);
      assert.match(end.kind === "said" ? end.last : "", /^refused: there is no room beside .*db\.sqlite/);
      assert.equal(await ground.headscale(), before);
      assert.deepEqual(
        readdirSync(folder).filter((name) => !/lock/.test(name)),
        ["db.sqlite", "filler"],
      );
      rmSync(filler);
    }
    const end = await run("there", ground);
    assert.equal(end.kind === "said" ? end.last : "", "done");
    await assertComplete(ground);
  },
);

function fill(path: string, bytes: number): void {
  const file = openSync(path, "w");
  writeSync(file, Buffer.alloc(Math.floor(bytes), 1));
  closeSync(file);
}
