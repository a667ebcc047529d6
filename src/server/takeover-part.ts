// Taking a headscale database over, on whichever database the configuration names: at the start of the server, and for
// the command line's `takeover`.
import { createHash } from "node:crypto";
import type { DatabaseConfig, PostgresConfig } from "../config/config.ts";
import type { PostgresTarget } from "../store/postgres/connection.ts";
import { openSqliteStore } from "../store/sqlite.ts";
import type { ConvertTools } from "../store/takeover/convert.ts";
import type { TakeoverOutcome } from "../store/takeover/summary.ts";
import { dryRunSqlite, takeOverSqlite, undoSqliteTakeover } from "../store/takeover/takeover-sqlite.ts";
import { readHostinfo } from "../wire/hostinfo-decode.ts";
import { decodeDocument } from "../wire/json-fields.ts";
import type { Hostinfo } from "../wire/tailcfg.ts";

const tools: ConvertTools = {
  hash: (text) => createHash("sha256").update(text, "utf8").digest("hex"),
  decodeHostinfo,
  // No policy is in force before the first start, so a tag that was only asked for is not granted.
  mayTag: () => false,
};

export async function takeOver(config: DatabaseConfig): Promise<TakeoverOutcome> {
  if (config.type === "postgres") {
    const { takeOverPostgres } = await import("../store/takeover/takeover-postgres.ts");
    return takeOverPostgres(postgresTarget(config), tools);
  }
  return takeOverSqlite({
    path: config.path,
    tools,
    openStore: (path) => openSqliteStore({ path }),
    now: Date.now(),
  });
}

/** The report of a takeover that does not happen. */
export async function dryRunTakeover(config: DatabaseConfig): Promise<TakeoverOutcome> {
  if (config.type === "postgres") {
    const { dryRunPostgres } = await import("../store/takeover/takeover-postgres.ts");
    return dryRunPostgres(postgresTarget(config), tools);
  }
  return dryRunSqlite(config.path, tools);
}

/** What was put back and where Hawser's data is kept, in words; undefined when there is nothing to put back. */
export async function undoTakeover(config: DatabaseConfig): Promise<string | undefined> {
  if (config.type === "postgres") {
    const { undoPostgresTakeover } = await import("../store/takeover/takeover-postgres.ts");
    const kept = await undoPostgresTakeover(postgresTarget(config), Date.now());
    return kept === undefined ? undefined : `headscale's tables are back; Hawser's are kept in schema ${kept}`;
  }
  const undone = undoSqliteTakeover(config.path, Date.now());
  return undone === undefined
    ? undefined
    : `headscale's database is back, from ${undone.restored}; Hawser's is kept as ${undone.kept}`;
}

export function postgresTarget(config: PostgresConfig): PostgresTarget {
  return {
    host: config.host,
    port: config.port === 0 ? 5432 : config.port,
    database: config.name,
    user: config.user,
    password: config.pass,
    ssl: config.sslMode === "disable" ? false : config.sslMode === "" ? true : config.sslMode,
  };
}

function decodeHostinfo(value: unknown): Hostinfo | undefined {
  const outcome = decodeDocument(Buffer.from(JSON.stringify(value) ?? ""), readHostinfo);
  return outcome.ok ? outcome.value : undefined;
}
