// Takes a headscale PostgreSQL database over: in one transaction its tables move aside into a schema of their own and
// Hawser's are made and filled. Undo moves them back. PostgreSQL's DDL is transactional, so nothing is ever half done.
import { commitGroups } from "../postgres/commit.ts";
import { PostgresConnection } from "../postgres/connection.ts";
import type { PostgresTarget, Query } from "../postgres/connection.ts";
import { claim } from "../postgres/lock.ts";
import { migrate } from "../postgres/schema-version.ts";
import { convert } from "./convert.ts";
import type { Conversion, ConvertTools, LegacyTables } from "./convert.ts";
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

export function takeOverPostgres(target: PostgresTarget, tools: ConvertTools): Promise<TakeoverOutcome> {
  return withDatabase(target, async (query) => {
    const owner = await claim(query);
    if (owner !== undefined) {
      return { kind: "refused", reason: `the database ${target.database} is in use by ${owner}` };
    }
    const read = await readForTakeover(query, tools);
    if (read.kind !== "read") {
      return read;
    }
    await query(`CREATE SCHEMA ${keptSchema}`);
    for (const table of await existingTables(query)) {
      // Waits for nobody: a running headscale keeps its tables busy, and then this is the wrong moment.
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
  });
}

/**
 * Puts headscale's tables back; Hawser's schema is kept under another name, which is returned. Undefined when nothing
 * was taken over here.
 */
export function undoPostgresTakeover(target: PostgresTarget, now: number): Promise<string | undefined> {
  return withDatabase(target, async (query) => {
    const tables = await query("SELECT table_name FROM information_schema.tables WHERE table_schema = $1", [
      keptSchema,
    ]);
    if (tables.length === 0) {
      return undefined;
    }
    const kept = `hawser_undone_${Math.floor(now / 1000)}`;
    await query(`ALTER SCHEMA hawser RENAME TO ${kept}`);
    for (const row of tables) {
      await query(`ALTER TABLE ${keptSchema}."${String(row["table_name"])}" SET SCHEMA public`);
    }
    await query(`DROP SCHEMA ${keptSchema}`);
    return kept;
  });
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
  const recognised = recognise(
    tables,
    (await rows("migrations")).map((row) => String(row["id"])),
  );
  switch (recognised.kind) {
    case "not-headscale":
      return { kind: "nothing-to-do" };
    case "too-old":
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
