// Reads a headscale SQLite database, opened read-only: its tables, rows and highest ids.
import { DatabaseSync } from "node:sqlite";
import type { LegacyTables } from "./convert.ts";
import { idOf, textOf } from "./legacy-values.ts";
import type { Row } from "./legacy-values.ts";
import { recognise } from "./legacy-version.ts";
import type { Recognised } from "./legacy-version.ts";
import { isLeftHalfWritten } from "./sqlite-files.ts";

type TableName = keyof LegacyTables["highest"] | "routes" | "migrations" | "database_versions";

/** What kind of database the file holds. A file that is no SQLite database throws SQLite's own error. */
export function recogniseSqlite(path: string): Recognised {
  const db = openReadOnly(path);
  try {
    return recogniseOpen(db, tableNames(db));
  } finally {
    db.close();
  }
}

/** All rows of a database that `recogniseSqlite` called headscale's, in one consistent read. */
export function readSqlite(path: string): LegacyTables | undefined {
  const db = openReadOnly(path);
  try {
    db.exec("BEGIN");
    const names = tableNames(db);
    const rows = (table: TableName): readonly Row[] => rowsOf(db, names, table);
    const recognised = recogniseOpen(db, names);
    if (recognised.kind !== "headscale") {
      return undefined;
    }
    return {
      version: recognised.version,
      users: rows("users"),
      nodes: rows("nodes"),
      preAuthKeys: rows("pre_auth_keys"),
      apiKeys: rows("api_keys"),
      policies: rows("policies"),
      routes: rows("routes"),
      highest: {
        users: highest(db, names, "users"),
        nodes: highest(db, names, "nodes"),
        pre_auth_keys: highest(db, names, "pre_auth_keys"),
        api_keys: highest(db, names, "api_keys"),
        policies: highest(db, names, "policies"),
      },
    };
  } finally {
    db.close();
  }
}

function recogniseOpen(db: DatabaseSync, tables: readonly string[]): Recognised {
  return recognise({
    tables,
    migrations: rowsOf(db, tables, "migrations").map((row) => textOf(row["id"])),
    lastUsedBy: rowsOf(db, tables, "database_versions").map((row) => textOf(row["version"]))[0],
  });
}

/**
 * Open for reading alone. A database that somebody left in the middle of a transaction (a server without a write-ahead
 * log, killed) can only be read once that transaction is rolled back, which takes a connection that may write.
 */
function openReadOnly(path: string): DatabaseSync {
  const db = new DatabaseSync(path, { readOnly: true });
  db.exec("PRAGMA busy_timeout = 5000");
  try {
    tableNames(db);
    return db;
  } catch (error) {
    db.close();
    if (!isLeftHalfWritten(error)) {
      throw error;
    }
  }
  const recovering = new DatabaseSync(path);
  recovering.exec("PRAGMA busy_timeout = 5000; PRAGMA query_only = ON");
  return recovering;
}

function tableNames(db: DatabaseSync): readonly string[] {
  return db
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")
    .all()
    .map((row) => String(row["name"]));
}

/** Whole numbers come as bigints: a damaged one may be larger than a number can tell apart. */
function rowsOf(db: DatabaseSync, names: readonly string[], table: TableName): readonly Row[] {
  if (!names.includes(table)) {
    return [];
  }
  const statement = db.prepare(`SELECT * FROM "${table}" ORDER BY 1`);
  statement.setReadBigInts(true);
  return statement.all();
}

function highest(db: DatabaseSync, names: readonly string[], table: TableName): number {
  if (!names.includes(table)) {
    return 0;
  }
  const usable = Number.MAX_SAFE_INTEGER;
  const inUse = db.prepare(`SELECT max(id) AS id FROM "${table}" WHERE id <= ?`).get(usable)?.["id"];
  if (!names.includes("sqlite_sequence")) {
    return idOf(inUse) ?? 0;
  }
  // Beyond what is usable it says nothing of the ids that clients know.
  const given = db.prepare("SELECT seq FROM sqlite_sequence WHERE name = ? AND seq <= ?").get(table, usable)?.["seq"];
  return Math.max(idOf(inUse) ?? 0, idOf(given) ?? 0);
}
