// The real program on PostgreSQL: what it is told it has after a restart, one server at a time, and the way between
// PostgreSQL and SQLite.
import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { PostgresTarget } from "../src/store/postgres/connection.ts";
import { dropDatabase, freshDatabase, postgresTarget, whyNoPostgres } from "../src/store/postgres/scratch.test-data.ts";
import { openPostgresStore } from "../src/store/postgres/store.ts";
import { openSqliteStore } from "../src/store/sqlite.ts";
import type { Snapshot, Store, StoredAuditEntry } from "../src/tailnet/store.ts";
import { until } from "./patience.ts";
import { postgresSection } from "./postgres-section.ts";
import { programWorld, type ProgramWorld } from "./program-world.ts";

const skip = (await whyNoPostgres()) ?? false;

async function scratch(context: TestContext): Promise<PostgresTarget> {
  const target = await freshDatabase();
  context.after(() => dropDatabase(target));
  return target;
}

function urlOf({ host, port, user, password, database }: PostgresTarget): string {
  const login = password === "" ? user : `${user}:${encodeURIComponent(password)}`;
  return `postgres://${login}@${host}:${port}/${database}`;
}

interface Key {
  readonly id: number;
  readonly key: string;
}

/** By commands alone; the owner of the key is Alice. */
async function aliceAndKey(world: ProgramWorld): Promise<string> {
  const user = (await world.json("users", "create", "alice", "--display-name", "Alice É")) as { readonly id: number };
  const key = (await world.json("preauthkeys", "create", "--user", String(user.id), "--reusable")) as Key;
  return key.key;
}

test("a user, a key and a node are there after a restart", { skip }, async (context) => {
  const world = await programWorld(context, postgresSection(await scratch(context)));
  const server = await world.start();
  const authKey = await aliceAndKey(world);
  const client = await world.client({ hostname: "box" });
  await client.join({ authKey });
  const before = (await client.openMap()).self;
  assert.equal(before?.Name, "box.program.internal.");
  const shown = async (): Promise<readonly unknown[]> => [
    await world.json("users", "list"),
    await world.json("preauthkeys", "list"),
    await world.json("apikeys", "list"),
  ];
  const apiKey = (await world.run("apikeys", "create")).stdout.trim();
  const [all, audit] = [await shown(), await world.json("audit", "list")];
  client.disconnect();
  await server.stop();

  await world.start();
  assert.deepEqual(await shown(), all);
  assert.deepEqual(await world.json("audit", "list"), audit);
  // The node is the one it was, and needs no key to come back.
  assert.equal((await client.register()).Error, "");
  const after = (await client.openMap()).self;
  assert.deepEqual([after?.ID, after?.StableID, after?.Addresses], [before.ID, before.StableID, before.Addresses]);
  const second = await world.client({ hostname: "second" });
  await second.join({ authKey });
  await second.openMap();
  await until("they see each other", () => second.netmap.peers.size === 1 && client.netmap.peers.size === 1);
  const answer = await fetch(new URL("/api/v1/node", world.url), { headers: { authorization: `Bearer ${apiKey}` } });
  assert.equal(answer.status, 200, "an API key from before is good");
});

test("a second server on the same database does not start and says who holds it", { skip }, async (context) => {
  const section = postgresSection(await scratch(context));
  const [first, second] = [await programWorld(context, section), await programWorld(context, section)];
  const server = await first.start();
  await first.json("users", "create", "alice");
  const refused = await second.refusal();
  assert.equal(refused.code, 1);
  assert.match(refused.stdout + refused.stderr, /in use by hawser on .+, process \d+/);
  // The first one noticed nothing.
  await first.json("users", "create", "bob");
  await server.stop();
  await second.start();
  const users = (await second.json("users", "list")) as readonly { readonly name: string }[];
  assert.deepEqual(users.map(({ name }) => name).sort(), ["alice", "bob"]);
});

/** Without the number of commits, of which a copy is one. */
interface Content {
  readonly snapshot: Omit<Snapshot, "sequence">;
  readonly audit: readonly StoredAuditEntry[];
}

async function contentOf(store: Store): Promise<Content> {
  const { sequence: _, ...snapshot } = await store.load();
  const audit = await store.auditLog({ limit: 10_000 });
  await store.close();
  return { snapshot, audit };
}

async function inPostgres(target: PostgresTarget): Promise<Content> {
  const opening = await openPostgresStore(target);
  assert.ok(opening.ok, opening.ok ? "" : opening.reason);
  return contentOf(opening.store);
}

interface CopyReport {
  readonly copied: Readonly<Record<string, number>> & { readonly auditEntries: number };
}

/** The copies that the audit log tells of, and what it says besides. */
function parted(audit: readonly StoredAuditEntry[]) {
  const isCopy = ({ action }: StoredAuditEntry): boolean => action === "database.copy";
  return { copies: audit.filter(isCopy).length, others: audit.filter((stored) => !isCopy(stored)) };
}

test(
  "db copy from SQLite to PostgreSQL and back gives the same content, and a word in the audit log each",
  { skip },
  async (context) => {
    const world = await programWorld(context);
    const server = await world.start();
    const authKey = await aliceAndKey(world);
    for (const hostname of ["box", "box", "séance"]) {
      const client = await world.client({ hostname, hostinfo: { RoutableIPs: ["10.1.0.0/16"] } });
      await client.join({ authKey });
      await client.openMap();
      await client.update({ endpoints: ["192.0.2.1:41641"] });
      client.close();
    }
    await world.json("apikeys", "create");
    await world.json("nodes", "approve-routes", "--identifier", "1", "--routes", "10.1.0.0/16");
    const [target, copied] = [await scratch(context), join(world.folder, "copied.sqlite")];

    const busy = await world.run("db", "copy", "--to", urlOf(target));
    assert.equal(busy.code, 1, "the database of a server that runs is not copied");
    await server.stop();

    const there = (await world.json("db", "copy", "--to", urlOf(target))) as CopyReport;
    const back = (await world.json("db", "copy", "--from", urlOf(target), "--to", `sqlite:${copied}`)) as CopyReport;
    const original = await contentOf(await openSqliteStore({ path: join(world.folder, "db.sqlite") }));
    const { auditEntries, ...rows } = there.copied;
    assert.equal(auditEntries, original.audit.length);
    assert.deepEqual(back.copied, { ...rows, auditEntries: auditEntries + 1 });
    assert.equal(original.snapshot.nodes.length, 3);
    assert.ok(original.audit.length > 5);
    const first = await inPostgres(postgresTarget(target.database));
    assert.deepEqual(first.snapshot, original.snapshot);
    assert.deepEqual(parted(first.audit), { copies: 1, others: original.audit });
    const second = await contentOf(await openSqliteStore({ path: copied }));
    assert.deepEqual(second.snapshot, original.snapshot);
    assert.deepEqual(parted(second.audit), { copies: 2, others: original.audit });

    const again = await world.run("db", "copy", "--to", urlOf(target));
    assert.equal(again.code, 1, "a database with content is not copied over");

    // A server on the copy is the same server.
    const shown = join(world.folder, "db.sqlite");
    copyFileSync(copied, shown);
    await world.start();
    assert.equal(((await world.json("nodes", "list")) as readonly unknown[]).length, 3);
  },
);
