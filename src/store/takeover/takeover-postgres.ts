// Takes a headscale PostgreSQL database over: in one transaction its tables move aside into a schema of their own and
// Hawser's are made and filled. Undo moves them back. PostgreSQL's DDL is transactional, so nothing is ever half done.
import type { AuditEntry } from "../../tailnet/store.ts";
import { commitGroups } from "../postgres/commit.ts";
import { PostgresConnection } from "../postgres/connection.ts";
import type { PostgresTarget, Query } from "../postgres/connection.ts";
import { claimAtStart } from "../postgres/lock.ts";
import { migrate } from "../postgres/schema-version.ts";
import { convert } from "./convert.ts";
import type { Conversion, ConvertTools } from "./convert.ts";
import type { LegacyVersion } from "./legacy-version.ts";
import { existingTables, isHawsers, mayMakeSchemas, named, readPostgres, tablesOfOthers } from "./postgres-source.ts";
import { summarise } from "./summary.ts";
import type { TakeoverOutcome } from "./summary.ts";

/** Where headscale's tables are kept. */
export const keptSchema = "headscale_before_hawser";

/** The report alone; nothing is changed. */
export function dryRunPostgres(target: PostgresTarget, tools: ConvertTools): Promise<TakeoverOutcome> {
  return withDatabase(target, async (query) => {
    const read = await readForTakeover(query, tools);
    return read.kind === "read" ? { kind: "done", summary: summarise(read.version, read.conversion) } : read;
  });
}

/** Whose data it holds. */
export function holdingsOf(target: PostgresTarget): Promise<"hawser" | "headscale" | "nothing"> {
  return withDatabase(target, async (query) => {
    if (await isHawsers(query)) {
      return "hawser";
    }
    return (await readPostgres(query)).kind === "not-headscale" ? "nothing" : "headscale";
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
  const owner = await claimAtStart(query);
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
  const foreign = await tablesOfOthers(query, read.schema);
  // Who may not even make schemas is told that first, by the next statement.
  if (foreign.length > 0 && (await mayMakeSchemas(query))) {
    const commands = foreign.map(
      (table) => `ALTER TABLE ${named(read.schema)}.${table} OWNER TO ${named(target.user)};`,
    );
    return {
      kind: "refused",
      reason: `${target.user} does not own headscale's tables in the database ${target.database}, so it cannot put them aside; as their owner run: ${commands.join(" ")}`,
    };
  }
  await query(`CREATE SCHEMA ${keptSchema}`);
  const comment = `The tables of headscale ${read.version} as Hawser found them when it took this database over. hawser takeover --undo puts them back${wayBack(read.schema)}`;
  await query(`COMMENT ON SCHEMA ${keptSchema} IS '${comment.replaceAll("'", "''")}'`);
  for (const table of await existingTables(query, read.schema)) {
    await query(`LOCK TABLE ${named(read.schema)}.${table} IN ACCESS EXCLUSIVE MODE NOWAIT`);
    await query(`ALTER TABLE ${named(read.schema)}.${table} SET SCHEMA ${keptSchema}`);
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

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What PostgreSQL's refusals mean here; undefined for those that only say of themselves what they mean. */
function refusalOf(error: unknown, { database, user }: PostgresTarget): string | undefined {
  switch (codeOf(error)) {
    case "42501":
      return `${user} may not make schemas in the database ${database}, or not read headscale's tables (${textOf(error)}); as its owner run: GRANT CREATE ON DATABASE ${database} TO ${user}`;
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
export async function undoPostgresTakeover(
  target: PostgresTarget,
  now: number,
  note?: (kept: string) => AuditEntry,
): Promise<PostgresUndoing> {
  try {
    return await undo(target, now, note);
  } catch (error) {
    if (codeOf(error) !== "42501") {
      throw error;
    }
    const reason = `${target.user} may not put headscale's tables back into their schema (${textOf(error)}); as its owner run: GRANT CREATE ON SCHEMA public TO ${named(target.user)}`;
    return { kind: "refused", reason };
  }
}

function undo(
  target: PostgresTarget,
  now: number,
  note: ((kept: string) => AuditEntry) | undefined,
): Promise<PostgresUndoing> {
  return withDatabase(target, async (query) => {
    const owner = await claimAtStart(query);
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
    const schema = await schemaOfOrigin(query);
    for (const row of tables) {
      await query(`ALTER TABLE ${keptSchema}.${named(String(row["table_name"]))} SET SCHEMA ${named(schema)}`);
    }
    await query(`DROP SCHEMA ${keptSchema}`);
    return { kind: "undone", kept };
  });
}

/** Ends the comment on the kept schema; what the way back reads. */
function wayBack(schema: string): string {
  return ` into the schema ${named(schema)}.`;
}

/** Copies that were made before comments said it came from `public`. */
async function schemaOfOrigin(query: Query): Promise<string> {
  const [row] = await query("SELECT obj_description(to_regnamespace($1)) AS comment", [keptSchema]);
  const [, quoted] = / into the schema "((?:[^"]|"")+)"\.$/.exec(String(row?.["comment"])) ?? [];
  return quoted?.replaceAll('""', '"') ?? "public";
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
  readonly schema: string;
  readonly version: LegacyVersion;
  readonly conversion: Conversion;
}

async function readForTakeover(
  query: Query,
  tools: ConvertTools,
): Promise<ReadForTakeover | Exclude<TakeoverOutcome, { kind: "done" }>> {
  const read = await readPostgres(query);
  switch (read.kind) {
    case "not-headscale":
      return { kind: "nothing-to-do" };
    case "unsupported":
      return { kind: "refused", reason: read.advice };
    case "headscale":
      return {
        kind: "read",
        schema: read.schema,
        version: read.tables.version,
        conversion: convert(read.tables, tools),
      };
  }
}
