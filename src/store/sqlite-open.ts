// Opening a SQLite file: private to its owner, durable at every commit, brought to the present schema step by step.
// What is not ours or from a newer version is refused with words a person can act on, and left as it is.
import { chmodSync, closeSync, mkdirSync, openSync } from "node:fs";
import { basename, dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sqliteMigrations, type Migration } from "./migrations/sqlite.ts";

export interface SqliteOptions {
  readonly path: string;
  /** Default true. */
  readonly writeAheadLog?: boolean;
  /** Pages after which SQLite folds its log into the file by itself; 0 is never. Default 1000. */
  readonly walAutocheckpoint?: number;
  /** The steps to take; only tests give others. */
  readonly migrations?: readonly Migration[];
}

/** "HAWS": marks the file as ours. */
const applicationId = 0x48415753;
const busyTimeout = 10_000;

/** Throws with a reason in plain words when the file cannot be used. */
export function openDatabase(options: SqliteOptions): DatabaseSync {
  const { path, migrations = sqliteMigrations } = options;
  makePrivate(path);
  const db = new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: busyTimeout });
  try {
    // Before anything is written: a foreign file stays untouched.
    const version = schemaVersion(db, path);
    if (version > migrations.length) {
      throw new Error(
        `${basename(path)} was written by a newer version (schema ${version}; this program knows up to ` +
          `${migrations.length}). Start that version, or restore a backup made before the upgrade.`,
      );
    }
    db.exec(`PRAGMA journal_mode = ${options.writeAheadLog === false ? "DELETE" : "WAL"}`);
    db.exec("PRAGMA synchronous = FULL");
    // What a savepoint may have to undo: a commit of many groups would else write a file for it each time.
    db.exec("PRAGMA temp_store = MEMORY");
    db.exec(`PRAGMA wal_autocheckpoint = ${Math.trunc(options.walAutocheckpoint ?? 1000)}`);
    migrate(db, migrations, version);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Makes the folder (0700) and the file (0600) where they are absent; SQLite gives its log the file's mode. */
function makePrivate(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  closeSync(openSync(path, "a", 0o600));
  chmodSync(path, 0o600);
}

function numberOf(db: DatabaseSync, pragma: string): number {
  const value = db.prepare(`PRAGMA ${pragma}`).get()?.[pragma];
  return typeof value === "number" ? value : 0;
}

function schemaVersion(db: DatabaseSync, path: string): number {
  let isEmpty: boolean;
  let id: number;
  try {
    isEmpty = db.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.["n"] === 0;
    id = numberOf(db, "application_id");
  } catch (error) {
    throw new Error(`${basename(path)} cannot be read as a database: ${(error as Error).message}`, { cause: error });
  }
  if (isEmpty) {
    return 0;
  }
  if (id !== applicationId) {
    throw new Error(`${basename(path)} is a database of another program; it was left untouched`);
  }
  return numberOf(db, "user_version");
}

/** Each step is one transaction together with the number it leads to: killed in between, it is taken again whole. */
function migrate(db: DatabaseSync, migrations: readonly Migration[], from: number): void {
  for (const [index, migration] of migrations.entries()) {
    if (index < from) {
      continue;
    }
    db.exec("BEGIN IMMEDIATE");
    try {
      // Somebody else may have taken the step while this one waited for the lock.
      if (numberOf(db, "user_version") === index) {
        db.exec(migration.sql);
        migration.run?.(db);
        db.exec(`PRAGMA user_version = ${index + 1}`);
        db.exec(`PRAGMA application_id = ${applicationId}`);
      }
      db.exec("COMMIT");
    } catch (error) {
      db.exec("ROLLBACK");
      throw new Error(`migration ${index + 1} (${migration.name}) failed: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
}
