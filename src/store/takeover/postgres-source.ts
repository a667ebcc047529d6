// Reads a headscale database on PostgreSQL within a transaction: its tables, rows and highest ids.
import type { Query } from "../postgres/connection.ts";
import type { LegacyTables } from "./convert.ts";
import { idOf, textOf } from "./legacy-values.ts";
import type { Row } from "./legacy-values.ts";
import { recognise } from "./legacy-version.ts";
import type { Recognised } from "./legacy-version.ts";

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
type TableName = (typeof headscaleTables)[number];

export type PostgresSource =
  | { readonly kind: "headscale"; readonly schema: string; readonly tables: LegacyTables }
  | Exclude<Recognised, { kind: "headscale" }>;

export async function readPostgres(query: Query): Promise<PostgresSource> {
  if (await isHawsers(query)) {
    return { kind: "not-headscale" };
  }
  const schema = await schemaInUse(query);
  const existing = await existingTables(query, schema);
  const rows = async (table: TableName): Promise<readonly Row[]> =>
    existing.includes(table) ? query(`SELECT * FROM ${named(schema)}.${table} ORDER BY 1`) : [];
  const highestOf = async (table: keyof LegacyTables["highest"]): Promise<number> =>
    existing.includes(table) ? highest(query, `${named(schema)}.${table}`) : 0;
  const recognised = recognise({
    tables: existing,
    migrations: (await rows("migrations")).map((row) => textOf(row["id"])),
    lastUsedBy: (await rows("database_versions")).map((row) => textOf(row["version"]))[0],
  });
  if (recognised.kind !== "headscale") {
    return recognised;
  }
  const tables: LegacyTables = {
    version: recognised.version,
    users: await rows("users"),
    nodes: await rows("nodes"),
    preAuthKeys: await rows("pre_auth_keys"),
    apiKeys: await rows("api_keys"),
    policies: await rows("policies"),
    routes: await rows("routes"),
    highest: {
      users: await highestOf("users"),
      nodes: await highestOf("nodes"),
      pre_auth_keys: await highestOf("pre_auth_keys"),
      api_keys: await highestOf("api_keys"),
      policies: await highestOf("policies"),
    },
  };
  return { kind: "headscale", schema, tables };
}

/** A schema alone, made for Hawser by whoever gives out rights, holds nothing yet. */
export async function isHawsers(query: Query): Promise<boolean> {
  const [ours] = await query("SELECT to_regclass('hawser.meta')::text AS meta");
  return typeof ours?.["meta"] === "string";
}

/**
 * headscale names its tables alone, so that the role's search_path decides where they are: in `public`, in a schema named
 * like the role, or in what an administrator set.
 */
async function schemaInUse(query: Query): Promise<string> {
  for (const table of ["migrations", "users", "machines"]) {
    const [found] = await query(
      "SELECT n.nspname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)",
      [table],
    );
    if (typeof found?.["name"] === "string") {
      return found["name"];
    }
  }
  return "public";
}

export async function existingTables(query: Query, schema: string): Promise<readonly TableName[]> {
  const rows = await query("SELECT tablename AS name FROM pg_tables WHERE schemaname = $1", [schema]);
  const there = new Set(rows.map((row) => String(row["name"])));
  return headscaleTables.filter((table) => there.has(table));
}

/** Those that this role may read, perhaps, but not move. */
export async function tablesOfOthers(query: Query, schema: string): Promise<readonly string[]> {
  const mine = await existingTables(query, schema);
  const rows = await query(
    "SELECT tablename AS name FROM pg_tables WHERE schemaname = $1 AND NOT pg_has_role(tableowner, 'USAGE')",
    [schema],
  );
  const theirs = new Set(rows.map((row) => String(row["name"])));
  return mine.filter((table) => theirs.has(table));
}

export async function mayMakeSchemas(query: Query): Promise<boolean> {
  const [row] = await query("SELECT has_database_privilege(current_database(), 'CREATE')::int AS may");
  return row?.["may"] === 1;
}

/** An identifier as SQL text. */
export function named(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}

/** What the table's sequence gave out last, or the highest id in use; what no number can tell apart counts as neither. */
async function highest(query: Query, table: string): Promise<number> {
  const [row] = await query(`SELECT max(id) AS id FROM ${table} WHERE id <= $1`, [Number.MAX_SAFE_INTEGER]);
  const inUse = idOf(row?.["id"]) ?? 0;
  const [serial] = await query("SELECT pg_get_serial_sequence($1, 'id') AS sequence", [table]);
  if (typeof serial?.["sequence"] !== "string") {
    return inUse;
  }
  const [sequence] = await query(`SELECT last_value, is_called::int AS called FROM ${serial["sequence"]}`);
  return sequence?.["called"] === 1 ? Math.max(inUse, idOf(sequence["last_value"]) ?? 0) : inUse;
}
