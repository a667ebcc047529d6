// Takes a headscale PostgreSQL database over: in one transaction its tables move aside into a schema of their own and
// Hawser's are made and filled. Undo moves them back. PostgreSQL's DDL is transactional, so nothing is ever half done.
import type { AuditEntry } from "../../tailnet/store.ts";
import { commitGroups } from "../postgres/commit.ts";
import { PostgresConnection } from "../postgres/connection.ts";
import type { PostgresTarget, Query } from "../postgres/connection.ts";
import { claim } from "../postgres/lock.ts";
import { migrate } from "../postgres/schema-version.ts";
import { convert } from "./convert.ts";
import type { Conversion, ConvertTools, LegacyTables } from "./convert.ts";
import { textOf } from "./legacy-values.ts";
import type { Row } from "./legacy-values.ts";
import { recognise } from "./legacy-version.ts";
import type { LegacyVersion } from "./legacy-version.ts";
import { summarise } from "./summary.ts";
import type { TakeoverOutcome } from "./summary.ts";

/** Where headscale's tables are kept. */
export const keptSchema = "headscale_before_hawser";

/** All tables headscale ever made; those that exist move aside together. */
const headscaleTables = [
  "migrations",
  "database_versions",
  "users",
  "nodes",
  "pre_auth_keys",
  "api_keys",
  "policies",
  "routes",
  "namespaces",
  "machines",
  "shared_machines",
  "kvs",
  "pre_auth_key_acl_tags",
] as const;

/** The report alone; nothing is changed. */
export function dryRunPostgres(target: PostgresTarget, tools: ConvertTools): Promise<TakeoverOutcome> {
  return withDatabase(target, async (query) => {
    const read = await readForTakeover(query, tools);
    return read.kind === "read" ? { kind: "done", summary: summarise(read.version, read.conversion) } : read;
  });
}

export async function takeOverPostgres(target: PostgresTarget, tools: ConvertTools): Promise<TakeoverOutcome> {
  try {
    return await withDatabase(target, (query) => takeOver(query, target, tools));
  } catch (error) {
    const reason = refusalOf(error, target);
    if (reason === undefined) {
      throw error;
    }
    return { kind: "refused", reason };
  }
}

async function takeOver(query: Query, target: PostgresTarget, tools: ConvertTools): Promise<TakeoverOutcome> {
  const owner = await claim(query);
  if (owner !== undefined) {
    return { kind: "refused", reason: `the database ${target.database} is in use by ${owner}` };
  }
  const read = await readForTakeover(query, tools);
  if (read.kind !== "read") {
    return read;
  }
  const others = await othersConnected(query);
  if (others !== undefined) {
    return {
      kind: "refused",
      reason: `${others} is connected to the database ${target.database} as ${target.user}; stop headscale (and close other programs that use its database) first, then start Hawser again`,
    };
  }
  await query(`CREATE SCHEMA ${keptSchema}`);
  await query(
    `COMMENT ON SCHEMA ${keptSchema} IS 'The tables of headscale ${read.version} as Hawser found them when it took this database over. hawser takeover --undo puts them back.'`,
  );
  for (const table of await existingTables(query)) {
    await query(`LOCK TABLE public.${table} IN ACCESS EXCLUSIVE MODE NOWAIT`);
    await query(`ALTER TABLE public.${table} SET SCHEMA ${keptSchema}`);
  }
  await migrate(query);
  const outcome = await commitGroups(query, [read.conversion.writes]);
  if (!outcome.ok) {
    throw new Error(
      `the converted database was refused by its own rules: ${outcome.refused.map((one) => one.reason).join("; ")}`,
    );
  }
  return {
    kind: "done",
    summary: { ...summarise(read.version, read.conversion), snapshot: `schema ${keptSchema}` },
  };
}

/** What PostgreSQL's refusals mean here; undefined for those that only say of themselves what they mean. */
function refusalOf(error: unknown, { database, user }: PostgresTarget): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "42501":
      return `${user} may not make schemas in the database ${database}; as its owner run: GRANT CREATE ON DATABASE ${database} TO ${user}`;
    case "42P06":
      return `the database ${database} has a schema ${keptSchema} from an earlier takeover; rename it (ALTER SCHEMA ${keptSchema} RENAME TO ...) and start again`;
    case "55P03":
      return `another program is using headscale's tables in the database ${database}; stop headscale first, then start Hawser again`;
    default:
      return undefined;
  }
}

/** headscale that has just been stopped may still be taking its leave. */
const partingMs = 5_000;

/**
 * Who else has a connection as headscale's user. An idle headscale holds no lock on anything, and would go on with tables
 * that are not there any more.
 */
async function othersConnected(query: Query): Promise<string | undefined> {
  for (const deadline = Date.now() + partingMs; ;) {
    // Within a transaction the view is a picture of its first look.
    await query("SELECT pg_stat_clear_snapshot()");
    const [other] = await query(
      `SELECT pid, application_name AS name, coalesce(client_addr::text, 'this machine') AS place FROM pg_stat_activity
       WHERE datname = current_database() AND usename = current_user AND backend_type = 'client backend'
         AND pid <> pg_backend_pid() LIMIT 1`,
    );
    if (other === undefined) {
      return undefined;
    }
    if (Date.now() > deadline) {
      const name = String(other["name"]) || "another program";
      return `${name} (on ${String(other["place"])}, PostgreSQL's process ${String(other["pid"])})`;
    }
    await new Promise((wake) => setTimeout(wake, 100));
  }
}

export type PostgresUndoing =
  /** The schema that Hawser's data is kept in. */
  | { readonly kind: "undone"; readonly kept: string }
  | { readonly kind: "nothing-to-do" }
  | { readonly kind: "refused"; readonly reason: string };

/** Puts headscale's tables back; Hawser's schema is kept under another name, with a last entry in its audit log. */
export function undoPostgresTakeover(
  target: PostgresTarget,
  now: number,
  note?: (kept: string) => AuditEntry,
): Promise<PostgresUndoing> {
  return withDatabase(target, async (query) => {
    const owner = await claim(query);
    if (owner !== undefined) {
      return {
        kind: "refused",
        reason: `the database ${target.database} is in use by ${owner}; stop that server first`,
      };
    }
    const tables = await query("SELECT table_name FROM information_schema.tables WHERE table_schema = $1", [
      keptSchema,
    ]);
    if (tables.length === 0) {
      return { kind: "nothing-to-do" };
    }
    const kept = `hawser_undone_${Math.floor(now)}`;
    if (note !== undefined) {
      await noteIfPossible(query, note(`schema ${kept}`));
    }
    await query("CREATE SCHEMA IF NOT EXISTS hawser");
    await query(`ALTER SCHEMA hawser RENAME TO ${kept}`);
    for (const row of tables) {
      await query(`ALTER TABLE ${keptSchema}."${String(row["table_name"])}" SET SCHEMA public`);
    }
    await query(`DROP SCHEMA ${keptSchema}`);
    return { kind: "undone", kept };
  });
}

/** Data that is damaged is a reason to go back, and none to stay. */
async function noteIfPossible(query: Query, entry: AuditEntry): Promise<void> {
  await query("SAVEPOINT before_note");
  try {
    await commitGroups(query, [[{ kind: "audit", entry }]]);
  } catch {
    await query("ROLLBACK TO SAVEPOINT before_note");
  }
}

async function withDatabase<Answer>(target: PostgresTarget, work: (query: Query) => Promise<Answer>): Promise<Answer> {
  const connection = new PostgresConnection(target, "hawser takeover");
  try {
    return await connection.transaction(work);
  } finally {
    await connection.close();
  }
}

interface ReadForTakeover {
  readonly kind: "read";
  readonly version: LegacyVersion;
  readonly conversion: Conversion;
}

async function readForTakeover(
  query: Query,
  tools: ConvertTools,
): Promise<ReadForTakeover | Exclude<TakeoverOutcome, { kind: "done" }>> {
  const [ours] = await query("SELECT 1 AS there FROM information_schema.schemata WHERE schema_name = 'hawser'");
  if (ours !== undefined) {
    return { kind: "nothing-to-do" };
  }
  const tables = await existingTables(query);
  const rows = async (table: (typeof headscaleTables)[number]): Promise<readonly Row[]> =>
    tables.includes(table) ? query(`SELECT * FROM public.${table} ORDER BY 1`) : [];
  const recognised = recognise({
    tables,
    migrations: (await rows("migrations")).map((row) => textOf(row["id"])),
    lastUsedBy: (await rows("database_versions")).map((row) => textOf(row["version"]))[0],
  });
  switch (recognised.kind) {
    case "not-headscale":
      return { kind: "nothing-to-do" };
    case "unsupported":
      return { kind: "refused", reason: recognised.advice };
    case "headscale":
      break;
  }
  const legacy: LegacyTables = {
    version: recognised.version,
    users: await rows("users"),
    nodes: await rows("nodes"),
    preAuthKeys: await rows("pre_auth_keys"),
    apiKeys: await rows("api_keys"),
    policies: await rows("policies"),
    routes: await rows("routes"),
    highest: {
      users: await highest(query, "users"),
      nodes: await highest(query, "nodes"),
      pre_auth_keys: await highest(query, "pre_auth_keys"),
      api_keys: await highest(query, "api_keys"),
      policies: await highest(query, "policies"),
    },
  };
  return { kind: "read", version: recognised.version, conversion: convert(legacy, tools) };
}

async function existingTables(query: Query): Promise<readonly string[]> {
  const rows = await query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'");
  const there = new Set(rows.map((row) => String(row["table_name"])));
  return headscaleTables.filter((table) => there.has(table));
}

/** What the table's sequence gave out last, or the highest id in use. */
async function highest(query: Query, table: keyof LegacyTables["highest"]): Promise<number> {
  const [found] = await query("SELECT to_regclass($1)::text AS name", [`public.${table}`]);
  if (typeof found?.["name"] !== "string") {
    return 0;
  }
  const [row] = await query(`SELECT coalesce(max(id), 0) AS id FROM public.${table}`);
  const inUse = Number(row?.["id"] ?? 0);
  const [serial] = await query("SELECT pg_get_serial_sequence($1, 'id') AS sequence", [`public.${table}`]);
  if (typeof serial?.["sequence"] !== "string") {
    return inUse;
  }
  const [sequence] = await query(`SELECT last_value, is_called::int AS called FROM ${serial["sequence"]}`);
  return sequence?.["called"] === 1 ? Math.max(inUse, Number(sequence["last_value"])) : inUse;
}
