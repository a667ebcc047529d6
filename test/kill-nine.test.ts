// A server process that commits and says so is killed at a random moment, again and again: all that it said is there
// afterwards, on SQLite and on PostgreSQL. HAWSER_KILLS sets how often.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { sha256 } from "../src/store/audit.ts";
import type { PostgresTarget } from "../src/store/postgres/connection.ts";
import { dropDatabase, freshDatabase, whyNoPostgres } from "../src/store/postgres/scratch.test-data.ts";
import { openPostgresStore } from "../src/store/postgres/store.ts";
import { openSqliteStore } from "../src/store/sqlite.ts";
import { verifyAudit } from "../src/tailnet/audit-chain.ts";
import type { Store } from "../src/tailnet/store.ts";
import { generousSeconds, startStopwatch } from "./patience.ts";

const kills = Number(process.env["HAWSER_KILLS"] ?? 4);

/** A database to be killed over. */
interface Ground {
  /** What the child is told: "sqlite" or "postgres", and its path or name. */
  readonly place: readonly [string, string];
  /** Whether the database itself says that it is sound. */
  readonly check: () => void;
  /** Opens it; a server that was killed a moment ago may still hold it for an instant. */
  readonly open: () => Promise<Store>;
  readonly dispose: () => Promise<void>;
}

function saysWork(said: string): boolean {
  return /^(?:user|node) .*\n/m.test(said);
}

/** Runs the child until a kill; returns what it acknowledged. */
async function runAndKill({ place }: Ground, round: number, after: number): Promise<string[]> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "kill-nine-child.ts"), ...place, String(round)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (text: string) => {
    // Counted from the first change it acknowledged: on a busy machine it may be long before that.
    const worked = saysWork(said);
    said += text;
    if (!worked && saysWork(said)) {
      setTimeout(() => child.kill("SIGKILL"), after);
    }
  });
  const [, signal] = (await once(child, "close")) as [unknown, string | null];
  assert.equal(signal, "SIGKILL", "the child did not end by itself");
  // A line that was cut by the kill was not said.
  return said.split("\n").slice(0, -1);
}

async function survives(ground: Ground): Promise<void> {
  try {
    const acknowledged: string[] = [];
    for (let round = 0; round < kills; round++) {
      const said = await runAndKill(ground, round, 20 + ((round * 37) % 150));
      assert.ok(said.length > 1, "the child got to work");
      acknowledged.push(...said);
      ground.check();
      const store = await ground.open();
      const snapshot = await store.load();
      assert.deepEqual((await verifyAudit(store, sha256)).faults, [], "the audit log is whole");
      await store.close();
      const nodes = new Map(snapshot.nodes.map(({ record }) => [record.nodeKey, record]));
      const users = new Set(snapshot.users.map(({ name }) => name));
      for (const line of acknowledged) {
        const [kind, what = "", name = ""] = line.split(" ");
        if (kind === "user") {
          assert.ok(users.has(what), line);
        } else if (kind === "node") {
          assert.equal([...nodes].find(([key]) => key === what)?.[1].givenName, name, line);
        } else {
          assert.equal(kind, "ready");
        }
      }
      const used = snapshot.preAuthKeys.filter(({ key }) => key.used).length;
      const bySingleUse = snapshot.nodes.filter(({ record }) => record.authKeyId !== null).length;
      assert.equal(used, bySingleUse, "a key is spent exactly when its node is there");
    }
  } finally {
    await ground.dispose();
  }
}

test(`everything acknowledged survives ${kills} kills at any moment`, async () => {
  const folder = mkdtempSync(join(tmpdir(), "hawser-kill-"));
  const path = join(folder, "db.sqlite");
  await survives({
    place: ["sqlite", path],
    check() {
      const db = new DatabaseSync(path);
      assert.equal(db.prepare("PRAGMA integrity_check").get()?.["integrity_check"], "ok");
      assert.deepEqual(db.prepare("PRAGMA foreign_key_check").all(), []);
      db.close();
    },
    open: () => openSqliteStore({ path }),
    dispose: async () => rmSync(folder, { recursive: true }),
  });
});

const noPostgres = await whyNoPostgres();

test(`on PostgreSQL too, everything acknowledged survives ${kills} kills`, { skip: noPostgres ?? false }, async () => {
  const target = await freshDatabase();
  await survives({
    place: ["postgres", target.database],
    check: () => undefined,
    open: () => openWhenFree(target),
    dispose: () => dropDatabase(target),
  });
});

/** The lock goes with the dead server's connection, which the database may notice a moment after us. */
async function openWhenFree(target: PostgresTarget): Promise<Store> {
  for (const watch = startStopwatch(); ; await sleep(20)) {
    const opening = await openPostgresStore(target);
    if (opening.ok) {
      return opening.store;
    }
    assert.ok(watch.seconds() < generousSeconds, opening.reason);
  }
}
