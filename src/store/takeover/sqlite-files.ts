// Database files as a takeover and the way back handle them: copied whole, private to their owner, durable on disk
// before anything depends on them.
import {
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  openSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** A copy of the database as of now, with what is still in its WAL; a file that is there already is replaced. */
export function copyDatabase(from: string, to: string): void {
  removeDatabase(to);
  // Private from its first byte: SQLite fills an empty file that is there, and would make one that all may read.
  closeSync(openSync(to, "wx", 0o600));
  const db = new DatabaseSync(from);
  try {
    db.exec("PRAGMA busy_timeout = 5000");
    db.prepare("VACUUM INTO ?").run(to);
  } finally {
    db.close();
  }
  ownLike(from, to);
  syncFile(to);
}

/** The files as they lie there, for a user who may not write beside them; answers with the copy's path. */
export function copyFiles(from: string, folder: string): string {
  const to = join(folder, basename(from));
  for (const suffix of ["", "-wal", "-journal"]) {
    if (existsSync(from + suffix)) {
      copyFileSync(from + suffix, to + suffix);
      chmodSync(to + suffix, 0o600);
    }
  }
  return to;
}

/** Folds the WAL into the file, which succeeds only when no other connection has it open. */
export function foldLog(path: string): boolean {
  const db = new DatabaseSync(path);
  try {
    return db.prepare("PRAGMA journal_mode = DELETE").get()?.["journal_mode"] === "delete";
  } catch (error) {
    if (isBusy(error)) {
      return false;
    }
    throw error;
  } finally {
    db.close();
  }
}

/** SQLITE_BUSY or SQLITE_LOCKED, with or without an extended code. */
function isBusy(error: unknown): boolean {
  return [5, 6].includes(primaryCode(error));
}

/** SQLITE_READONLY: a read-only connection met a journal, or a write-ahead log, that has to be recovered first. */
export function isLeftHalfWritten(error: unknown): boolean {
  return primaryCode(error) === 8;
}

/** SQLITE_READONLY or SQLITE_CANTOPEN: reading takes writing (beside the file, mostly), and this user may not. */
export function needsWriting(error: unknown): boolean {
  return [8, 14].includes(primaryCode(error));
}

/** SQLITE_CORRUPT or SQLITE_NOTADB. */
export function isDamaged(error: unknown): boolean {
  return [11, 26].includes(primaryCode(error));
}

/** SQLite's result code without its extension; 0 for what is no error of SQLite's. */
function primaryCode(error: unknown): number {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number" ? error.errcode & 255 : 0;
}

/** Private, and of whom the model belongs to: whoever runs the command (root, often), the server has to open it. */
export function ownLike(model: string, path: string): void {
  chmodSync(path, 0o600);
  const { uid, gid } = statSync(model);
  const now = statSync(path);
  if (process.getuid?.() === 0 && (now.uid !== uid || now.gid !== gid)) {
    chownSync(path, uid, gid);
  }
}

export function removeDatabase(path: string): void {
  for (const suffix of ["", "-wal", "-shm", "-journal"]) {
    rmSync(path + suffix, { force: true });
  }
}

/** A name that ends with the time, `…-20261120T201500Z`; a second later where that is taken. */
export function stamped(start: string, now: number): string {
  for (let at = now; ; at += 1000) {
    const name = `${start}-${new Date(at).toISOString().replace(/[-:]|\.\d+/g, "")}`;
    if (!existsSync(name)) {
      return name;
    }
  }
}

export function syncFile(path: string): void {
  const file = openSync(path, "r+");
  fsyncSync(file);
  closeSync(file);
}

export function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  fsyncSync(folder);
  closeSync(folder);
}
