// The store suite on a PostgreSQL at 127.0.0.1:5432, in databases made for it and dropped afterwards.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "pg";
import type { Store } from "../../tailnet/store.ts";
import { verifyAudit } from "../../tailnet/audit-chain.ts";
import { sha256 } from "../audit.ts";
import { sampleUser, storeSuite } from "../store-suite.ts";
import { until } from "../../../test/patience.ts";
import { lockClass, lockNumber } from "./lock.ts";
import { migrations } from "./schema.ts";
import { administer, dropDatabase, freshDatabase, postgresServer, whyNoPostgres } from "./scratch.test-data.ts";
import { PostgresConnection, type PostgresTarget } from "./connection.ts";
import { openPostgresStore } from "./store.ts";

async function opened(target: PostgresTarget): Promise<Store> {
  const opening = await openPostgresStore(target);
  assert.ok(opening.ok, opening.ok ? "" : opening.reason);
  return opening.store;
}

const missing = await whyNoPostgres();

if (missing !== undefined) {
  test("the store suite on PostgreSQL", { skip: missing }, () => undefined);
} else {
  storeSuite("PostgreSQL", async () => {
    const target = await freshDatabase();
    return {
      open: () => opened(target),
      dispose: () => dropDatabase(target),
    };
  });

  test("a second server is refused and told who holds the database", async () => {
    const target = await freshDatabase();
    const first = await opened(target);
    const second = await openPostgresStore(target);
    assert.ok(!second.ok);
    assert.match(second.reason, new RegExp(`in use by hawser on .*, process ${process.pid}`));
    await first.close();
    const third = await opened(target);
    await third.close();
    await dropDatabase(target);
  });

  test("a server that was killed and that the database has not let go yet does not stop the next one", async () => {
    const target = await freshDatabase();
    const dead = new Client({ ...postgresServer, database: target.database });
    await dead.connect();
    await dead.query("SELECT pg_advisory_lock($1, $2)", [lockClass, lockNumber]);
    const opening = openPostgresStore(target);
    await until("it has found the lock taken", async () => {
      const { rows } = await dead.query(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
         AND query ~ 'pg_try_advisory_lock|pg_stat_clear_snapshot'`,
      );
      return rows.length > 0;
    });
    await dead.end();
    const next = await opening;
    assert.ok(next.ok, next.ok ? "" : next.reason);
    await next.store.close();
    await dropDatabase(target);
  });

  test("a commit of a killed server that the database is still at is waited for", async () => {
    const target = await freshDatabase();
    await (await opened(target)).close();
    const dead = new Client({ ...postgresServer, database: target.database });
    await dead.connect();
    await dead.query("BEGIN");
    await dead.query("SELECT value FROM hawser.counters WHERE name = 'sequence' FOR UPDATE");
    await dead.query("INSERT INTO hawser.settings (key, value) VALUES ('of the dead', 'kept')");
    const loading = opened(target).then(async (store) => {
      const { settings } = await store.load();
      await store.close();
      return settings;
    });
    const watcher = new Client({ ...postgresServer, database: target.database });
    await watcher.connect();
    await until("it waits, or has loaded", async () => {
      const { rows } = await watcher.query(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
         AND (wait_event_type = 'Lock' OR (query ~ 'hawser.api_keys' AND pid <> pg_backend_pid()))`,
      );
      return rows.length > 0;
    });
    await watcher.end();
    await dead.query("COMMIT");
    await dead.end();
    assert.equal((await loading)["of the dead"], "kept");
    await dropDatabase(target);
  });

  test("a connection that the database ended is made again, and the lock with it", async () => {
    const target = await freshDatabase();
    const store = await opened(target);
    for (let round = 1; round <= 10; round++) {
      await administer(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${target.database}'`);
      // The first statement afterwards may still meet the dead connection, and no other.
      await store.ping().catch(() => undefined);
      await store.ping();
      await store.commit([]).catch(() => undefined);
      assert.equal((await store.commit([[{ kind: "put-user", user: sampleUser(round) }]])).ok, true);
    }
    const second = await openPostgresStore(target);
    assert.equal(second.ok, false);
    await store.close();
    await dropDatabase(target);
  });

  test("a statement in whose middle the database ends the connection is the only one that fails", async () => {
    const target = await freshDatabase();
    const connection = new PostgresConnection(target, "test");
    const own = (text: string): Promise<readonly object[]> => connection.exclusively((query) => query(text));
    for (let round = 0; round < 5; round++) {
      const before = await own("SELECT pg_backend_pid() AS pid");
      await assert.rejects(own("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(1)"), { code: "57P01" });
      assert.notDeepEqual(await own("SELECT pg_backend_pid() AS pid"), before);
    }
    const before = await own("SELECT pg_backend_pid() AS pid");
    await assert.rejects(own("SELECT 1 / 0"), { code: "22012" });
    assert.deepEqual(await own("SELECT pg_backend_pid() AS pid"), before, "a wrong statement costs no connection");
    await connection.close();
    await dropDatabase(target);
  });

  test("entries from before there was a chain are linked, and the database refuses to change any", async () => {
    const target = await freshDatabase();
    const client = new Client({ ...postgresServer, database: target.database });
    await client.connect();
    await client.query("CREATE SCHEMA hawser; CREATE TABLE hawser.meta (key text PRIMARY KEY, value text NOT NULL)");
    await client.query(`${migrations[0]?.sql ?? ""}; INSERT INTO hawser.meta VALUES ('schema', '1')`);
    await client.query(
      `INSERT INTO hawser.audit (id, at, actor_kind, actor_id, from_address, action, target, before, after)
       VALUES (2, 20, 'cli', 'root', '', 'a', 'user:1', '', '{}'), (7, 10, 'cli', 'root', '', 'b', '', '', '')`,
    );
    const store = await opened(target);
    const entry = { at: 1, actorKind: "cli", actorId: "", from: "", action: "c", target: "", before: "", after: "" };
    await store.commit([[{ kind: "audit", entry }]]);
    const verdict = await verifyAudit(store, sha256);
    assert.deepEqual([verdict.faults, verdict.entries, verdict.head.id], [[], 3, 8]);
    await assert.rejects(client.query("UPDATE hawser.audit SET action = 'x' WHERE id = 7"), /append-only/);
    await assert.rejects(client.query("DELETE FROM hawser.audit WHERE id = 8"), /append-only/);
    await client.query("DROP TRIGGER audit_is_append_only ON hawser.audit; DELETE FROM hawser.audit WHERE id = 7");
    assert.equal((await verifyAudit(store, sha256)).ok, false);
    await store.close();
    await client.end();
    await dropDatabase(target);
  });

  test("headscale's tables in the same database are left alone", async () => {
    const target = await freshDatabase();
    const client = new Client({ ...postgresServer, database: target.database });
    await client.connect();
    await client.query("CREATE TABLE users (id bigint, name text); INSERT INTO users VALUES (1, 'theirs')");
    const store = await opened(target);
    await store.commit([[{ kind: "put-user", user: sampleUser(7) }]]);
    assert.deepEqual((await client.query("SELECT name FROM users")).rows, [{ name: "theirs" }]);
    await store.close();
    await client.end();
    await dropDatabase(target);
  });
}
