// The way back on SQLite: headscale's file in its place again, Hawser's kept beside it.
import { copyFileSync, existsSync, readdirSync, realpathSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { holderOf } from "./open-elsewhere.ts";
import { copyDatabase, isDamaged, ownLike, removeDatabase, stamped, syncFile, syncFolder } from "./sqlite-files.ts";
import { recogniseSqlite } from "./sqlite-source.ts";

export type SqliteUndoing =
  | { readonly kind: "undone"; readonly restored: string; readonly kept: string }
  /** There is no copy to put back. */
  | { readonly kind: "nothing-to-do" }
  /** What is in the way and what to do about it. */
  | { readonly kind: "refused"; readonly reason: string };

/** Puts the newest copy of headscale's database back. */
export function undoSqliteTakeover(configured: string, now: number): SqliteUndoing {
  const path = existsSync(configured) ? realpathSync(configured) : configured;
  const snapshot = newestSnapshot(path);
  if (snapshot === undefined) {
    return { kind: "nothing-to-do" };
  }
  const kept = stamped(`${path}.hawser`, now);
  if (existsSync(path)) {
    // A copy from an earlier day must not replace what headscale has written since.
    if (isHeadscales(path)) {
      return { kind: "refused", reason: `${basename(path)} is headscale's database already; nothing was changed` };
    }
    const holder = keepAside(path, kept);
    if (holder !== undefined) {
      return { kind: "refused", reason: `${holder} still has ${basename(path)} open; stop the server first` };
    }
  }
  const fresh = `${path}.headscale-new`;
  rmSync(fresh, { force: true });
  copyFileSync(snapshot, fresh);
  ownLike(existsSync(path) ? path : snapshot, fresh);
  syncFile(fresh);
  // What belongs to a damaged file would be taken for the restored one's.
  for (const suffix of ["-wal", "-shm", "-journal"]) {
    rmSync(path + suffix, { force: true });
  }
  renameSync(fresh, path);
  syncFolder(dirname(path));
  return { kind: "undone", restored: snapshot, kept };
}

function isHeadscales(path: string): boolean {
  try {
    return recogniseSqlite(path).kind !== "not-headscale";
  } catch (error) {
    if (isDamaged(error)) {
      return false;
    }
    throw error;
  }
}

/** A damaged file is a reason to go back: it is kept as it is. Answers with who still has it open. */
function keepAside(path: string, kept: string): string | undefined {
  // Half a copy must not bear the name of one.
  const draft = `${path}.hawser-keeping`;
  try {
    const holder = holderOf(path);
    if (holder !== undefined) {
      return holder;
    }
    copyDatabase(path, draft);
  } catch (error) {
    if (!isDamaged(error)) {
      removeDatabase(draft);
      throw error;
    }
    copyFileSync(path, draft);
    ownLike(path, draft);
    syncFile(draft);
  }
  renameSync(draft, kept);
  return undefined;
}

function newestSnapshot(path: string): string | undefined {
  const start = `${basename(path)}.headscale-`;
  if (!existsSync(dirname(path))) {
    return undefined;
  }
  const names = readdirSync(dirname(path)).filter((name) => name.startsWith(start) && /-\d{8}T\d{6}Z$/.test(name));
  const newest = names.sort((a, b) => a.slice(-16).localeCompare(b.slice(-16))).at(-1);
  return newest === undefined ? undefined : join(dirname(path), newest);
}
