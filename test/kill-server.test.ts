// The whole server is killed at random moments while machines join with a reusable key and commands create users: after
// each start everything that somebody was told is there. HAWSER_SERVER_KILLS sets how often.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { PostgresTarget } from "../src/store/postgres/connection.ts";
import { dropDatabase, freshDatabase, whyNoPostgres } from "../src/store/postgres/scratch.test-data.ts";
import { until } from "./patience.ts";
import { postgresSection } from "./postgres-section.ts";
import { programWorld, type ProgramWorld } from "./program-world.ts";

const kills = Number(process.env["HAWSER_SERVER_KILLS"] ?? 3);

interface NodeRow {
  readonly node_key: string;
  readonly given_name: string;
  readonly ip_addresses: readonly string[];
}

/** What somebody was told: names of users, and each machine's node key with its name and addresses. */
interface Told {
  readonly users: string[];
  readonly nodes: Map<string, { readonly name: string; readonly addresses: readonly string[] }>;
  /** From when on a failure is the kill's. */
  killed: boolean;
}

/** Machines join, each with its own key, until the server is gone. */
async function joinForEver(world: ProgramWorld, lane: string, authKey: string, told: Told): Promise<void> {
  for (let count = 0; ; count++) {
    try {
      const client = await world.client({ hostname: `box-${lane}-${count}` });
      await client.join({ authKey });
      // From here on the machine knows that it is in.
      told.nodes.set(client.nodeKeyText, { name: "", addresses: [] });
      const { self } = await client.openMap();
      const addresses = (self?.Addresses ?? []).map((prefix) => prefix.split("/")[0] ?? "");
      told.nodes.set(client.nodeKeyText, { name: self?.Name.split(".")[0] ?? "", addresses });
      client.close();
    } catch (fault) {
      assert.ok(told.killed, String(fault));
      return;
    }
  }
}

async function createForEver(world: ProgramWorld, lane: string, told: Told): Promise<void> {
  for (let count = 0; ; count++) {
    const name = `user-${lane}-${count}`;
    const { code, stderr } = await world.run("users", "create", name);
    if (code !== 0) {
      assert.ok(told.killed, stderr);
      return;
    }
    told.users.push(name);
  }
}

async function checkAll(world: ProgramWorld, told: Told): Promise<void> {
  const users = (await world.json("users", "list")) as readonly { readonly name: string }[];
  const names = new Set(users.map(({ name }) => name));
  assert.deepEqual(
    told.users.filter((name) => !names.has(name)),
    [],
    "every user that was created is there",
  );
  const nodes = ((await world.json("nodes", "list")) ?? []) as readonly NodeRow[];
  const byKey = new Map(nodes.map((node) => [node.node_key, node]));
  for (const [key, { name, addresses }] of told.nodes) {
    const node = byKey.get(key);
    assert.ok(node !== undefined, `the machine ${name || key} is there`);
    if (name !== "") {
      assert.deepEqual([node.given_name, node.ip_addresses], [name, addresses]);
    }
  }
  const given = nodes.flatMap(({ ip_addresses }) => ip_addresses);
  assert.equal(new Set(given).size, given.length, "no address was given twice");
  assert.equal(new Set(nodes.map(({ given_name }) => given_name)).size, nodes.length, "no name was given twice");
  const audit = (await world.json("audit", "verify")) as { readonly faults?: readonly unknown[] };
  assert.deepEqual(audit.faults ?? [], []);
}

async function survives(world: ProgramWorld): Promise<void> {
  const told: Told = { users: ["first"], nodes: new Map(), killed: false };
  let server = await world.start();
  const { id } = (await world.json("users", "create", "first")) as { readonly id: number };
  const key = (await world.json("preauthkeys", "create", "--user", String(id), "--reusable")) as {
    readonly key: string;
  };
  for (let round = 0; round < kills; round++) {
    told.killed = false;
    const before = told.nodes.size + told.users.length;
    const lanes = [
      joinForEver(world, `${round}a`, key.key, told),
      joinForEver(world, `${round}b`, key.key, told),
      createForEver(world, String(round), told),
    ];
    // Not before there is something to lose.
    await until("machines join and users are created", () => told.nodes.size + told.users.length >= before + 3);
    await sleep(Math.random() * 400);
    told.killed = true;
    await server.kill();
    await Promise.all(lanes);
    server = await world.start();
    await checkAll(world, told);
  }
  await server.stop();
}

test(`a server that is killed ${kills} times keeps what it told machines and commands`, async (context) => {
  await survives(await programWorld(context));
});

const noPostgres = await whyNoPostgres();

test(
  `on PostgreSQL too, a server that is killed ${kills} times keeps it`,
  { skip: noPostgres ?? false },
  async (context) => {
    const target: PostgresTarget = await freshDatabase();
    context.after(() => dropDatabase(target));
    await survives(await programWorld(context, postgresSection(target)));
  },
);
