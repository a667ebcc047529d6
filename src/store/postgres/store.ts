// The store on PostgreSQL (idea: one transaction per commit, a savepoint per group, the sequence row updated in the same
// transaction). Two connections: commits on one; presence, reads and the lock on the other.
import { hostname } from "node:os";
import type { Snapshot, Store } from "../../tailnet/store.ts";
import { PostgresConnection } from "./connection.ts";
import type { PostgresTarget, Query } from "./connection.ts";
import { claim, claimAtStart } from "./lock.ts";
import { commitGroups, putPresence } from "./commit.ts";
import {
  apiKeyOf,
  auditChainOf,
  auditOf,
  nodeOf,
  policyOf,
  preAuthKeyOf,
  presenceOf,
  secretOf,
  userOf,
} from "../rows.ts";
import { migrate } from "./schema-version.ts";

export type PostgresOpening =
  | { readonly ok: true; readonly store: Store }
  /** Another server holds the database, or it is newer than this program: the text says who and what to do. */
  | { readonly ok: false; readonly reason: string };

/** Opens the database of one server; it must exist, its tables are made. Throws when it cannot be reached. */
export async function openPostgresStore(target: PostgresTarget): Promise<PostgresOpening> {
  const holder = `hawser on ${hostname()}, process ${process.pid}`;
  const side = new PostgresConnection(target, holder);
  const main = new PostgresConnection(target, `${holder} (commits)`);
  const refuse = async (reason: string): Promise<PostgresOpening> => {
    await Promise.all([side.close(), main.close()]);
    return { ok: false, reason };
  };
  try {
    const owner = await side.exclusively(claimAtStart);
    if (owner !== undefined) {
      return await refuse(
        `the database ${target.database} is in use by ${owner}; only one server may run on it at a time`,
      );
    }
    const newer = await main.transaction(migrate);
    if (newer !== undefined) {
      return await refuse(newer);
    }
    // The last commit of a server that was killed may still be under way, on a connection of its own that the lock says
    // nothing of. Commits hold this row: once it is ours, what comes of that one is seen by whoever loads.
    await main.transaction((query) => query("SELECT value FROM hawser.counters WHERE name = 'sequence' FOR UPDATE"));
  } catch (error) {
    await Promise.all([side.close(), main.close()]);
    throw error;
  }
  return { ok: true, store: storeOver(main, side) };
}

function storeOver(main: PostgresConnection, side: PostgresConnection): Store {
  return {
    load: () => main.transaction(loadAll),
    commit: (groups) => main.transaction((query) => commitGroups(query, groups)),
    savePresence: (rows) =>
      side.transaction(async (query) => {
        for (const { id, presence } of rows) {
          await putPresence(query, id, presence);
        }
      }),
    policyHistory: (limit) =>
      side.exclusively(async (query) =>
        (await query("SELECT * FROM hawser.policies ORDER BY id DESC LIMIT $1", [limit])).map(policyOf),
      ),
    auditLog: ({ before, after, limit }) =>
      side.exclusively(async (query) => {
        const rows =
          after === undefined
            ? query("SELECT * FROM hawser.audit WHERE id < $1 ORDER BY id DESC LIMIT $2", [
                before ?? Number.MAX_SAFE_INTEGER,
                limit,
              ])
            : query("SELECT * FROM hawser.audit WHERE id > $1 ORDER BY id LIMIT $2", [after, limit]);
        return (await rows).map(auditOf);
      }),
    auditChain: () =>
      side.exclusively(async (query) => auditChainOf((await query("SELECT * FROM hawser.audit_chain"))[0])),
    ping: () =>
      Promise.race([
        side.exclusively(async (query) => {
          // The lock goes with the connection: after a loss it has to be had again before anything else.
          const owner = await claim(query);
          if (owner !== undefined) {
            throw new Error(`the database has been taken over by ${owner}`);
          }
        }),
        new Promise<never>((_, fail) => {
          setTimeout(() => fail(new Error("the database did not answer within a second")), 1000).unref();
        }),
      ]),
    close: async () => {
      await Promise.all([main.close(), side.close()]);
    },
  };
}

async function loadAll(query: Query): Promise<Snapshot> {
  await query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY");
  const all = (table: string): ReturnType<Query> => query(`SELECT * FROM hawser.${table} ORDER BY id`);
  const counters = new Map(
    (await query("SELECT name, value FROM hawser.counters")).map((row) => [row["name"], Number(row["value"])]),
  );
  const policies = await query("SELECT * FROM hawser.policies ORDER BY id DESC LIMIT 1");
  const settings = await query("SELECT key, value FROM hawser.settings");
  const highest = (name: string): number => counters.get(name) ?? 0;
  return {
    sequence: highest("sequence"),
    users: (await all("users")).map(userOf),
    nodes: (await query("SELECT * FROM hawser.nodes LEFT JOIN hawser.presence ON node_id = id ORDER BY id")).map(
      (row) => ({ record: nodeOf(row), presence: presenceOf(row) }),
    ),
    preAuthKeys: (await all("pre_auth_keys")).map((row) => ({ key: preAuthKeyOf(row), secret: secretOf(row) })),
    apiKeys: (await all("api_keys")).map((row) => ({ key: apiKeyOf(row), secret: secretOf(row) })),
    policy: policies[0] === undefined ? null : policyOf(policies[0]),
    settings: Object.fromEntries(settings.map((row) => [row["key"], row["value"]])),
    highest: {
      user: highest("user"),
      node: highest("node"),
      preAuthKey: highest("pre_auth_key"),
      apiKey: highest("api_key"),
      policy: highest("policy"),
    },
  };
}
