// One server per database. The lock is SQLite's own exclusive lock on a small file beside it: a lock of the kernel's that
// is free the moment its holder dies, however it dies. Who holds it stands in a text file, for the one who is refused.
import { chmodSync, closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { basename, dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";

export interface DataLock {
  release(): void;
}

export type LockOutcome =
  | { readonly ok: true; readonly lock: DataLock }
  /** Who holds it and what to do. */
  | { readonly ok: false; readonly reason: string };

/** Connections that hold a lock: one that nobody refers to any more would be closed by the garbage collector. */
const held = new Set<DatabaseSync>();

/** Locks what lies at `path` (the database file, which need not exist yet). Throws when the lock file cannot be made. */
export function lockData(path: string): LockOutcome {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const lockPath = `${path}.lock`;
  const holderPath = `${path}.lock-holder`;
  closeSync(openSync(lockPath, "a", 0o600));
  chmodSync(lockPath, 0o600);
  const db = new DatabaseSync(lockPath, { timeout: 0 });
  try {
    // The transaction stays open as long as the lock is held. Nothing is ever written in it.
    db.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    db.close();
    if (!isBusy(error)) {
      throw error;
    }
    return {
      ok: false,
      reason: `${basename(path)} is in use by ${holderOf(holderPath)}; stop that server first (one server per database)`,
    };
  }
  writeFileSync(holderPath, `process ${process.pid} on ${hostname()}\n`, { mode: 0o600 });
  held.add(db);
  const release = (): void => {
    if (held.delete(db)) {
      db.close();
    }
  };
  return { ok: true, lock: { release } };
}

function holderOf(path: string): string {
  try {
    return readFileSync(path, "utf8").trim().slice(0, 200) || "another process";
  } catch {
    return "another process";
  }
}

/** SQLITE_BUSY, with or without an extended code. */
function isBusy(error: unknown): boolean {
  return (
    error instanceof Error && "errcode" in error && typeof error.errcode === "number" && (error.errcode & 255) === 5
  );
}
