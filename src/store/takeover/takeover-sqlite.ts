// Takes a headscale SQLite database over in place. The old file is copied aside first (consistent, WAL included), the
// new database is built beside it in one commit and then renamed over it: killed at any instant, the path holds either
// headscale's database or Hawser's, whole.
import { closeSync, copyFileSync, existsSync, fsyncSync, openSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Store } from "../../tailnet/store.ts";
import { convert } from "./convert.ts";
import type { Conversion, ConvertTools } from "./convert.ts";
import type { LegacyVersion } from "./legacy-version.ts";
import { readSqlite, recogniseSqlite } from "./sqlite-source.ts";
import { summarise } from "./summary.ts";
import type { TakeoverOutcome } from "./summary.ts";

export interface SqliteTakeover {
  /** The database file both programs use. */
  readonly path: string;
  readonly tools: ConvertTools;
  /** Opens (and creates) a Hawser store. */
  readonly openStore: (path: string) => Promise<Store>;
  /** Milliseconds; names the copy that is kept. */
  readonly now: number;
}

/** The report alone; the database is only read. */
export function dryRunSqlite(path: string, tools: ConvertTools): TakeoverOutcome {
  const read = readForTakeover(path, tools);
  return read.kind === "read" ? { kind: "done", summary: summarise(read.version, read.conversion) } : read;
}

export async function takeOverSqlite(takeover: SqliteTakeover): Promise<TakeoverOutcome> {
  const { path } = takeover;
  const first = readForTakeover(path, takeover.tools);
  if (first.kind !== "read") {
    return first;
  }
  const snapshot = `${path}.headscale-${first.version}-${stamp(takeover.now)}`;
  copyConsistently(path, snapshot);
  if (!closeForOthers(path)) {
    rmSync(snapshot);
    return {
      kind: "refused",
      reason: `another program still has ${basename(path)} open; stop headscale first, then start Hawser again`,
    };
  }
  // Nobody else writes from here on; what was written since the first read is in this one.
  const final = readForTakeover(path, takeover.tools);
  if (final.kind !== "read") {
    return final;
  }
  const fresh = `${path}.hawser-new`;
  removeDatabase(fresh);
  await buildDatabase(fresh, final.conversion, takeover.openStore);
  renameSync(fresh, path);
  syncFolder(dirname(path));
  return { kind: "done", summary: { ...summarise(final.version, final.conversion), snapshot } };
}

/**
 * Puts the newest copy of headscale's database back; Hawser's is kept beside it.
 * Returns both paths, or undefined when there is no copy.
 */
export function undoSqliteTakeover(
  path: string,
  now: number,
): { readonly restored: string; readonly kept: string } | undefined {
  const snapshot = newestSnapshot(path);
  if (snapshot === undefined) {
    return undefined;
  }
  const kept = `${path}.hawser-${stamp(now)}`;
  if (existsSync(path)) {
    copyConsistently(path, kept);
    closeForOthers(path);
  }
  const fresh = `${path}.headscale-new`;
  copyFileSync(snapshot, fresh);
  syncFile(fresh);
  for (const suffix of ["-wal", "-shm"]) {
    rmSync(path + suffix, { force: true });
  }
  renameSync(fresh, path);
  syncFolder(dirname(path));
  return { restored: snapshot, kept };
}

interface ReadForTakeover {
  readonly kind: "read";
  readonly version: LegacyVersion;
  readonly conversion: Conversion;
}

function readForTakeover(
  path: string,
  tools: ConvertTools,
): ReadForTakeover | Exclude<TakeoverOutcome, { kind: "done" }> {
  if (!existsSync(path)) {
    return { kind: "nothing-to-do" };
  }
  const recognised = recogniseSqlite(path);
  switch (recognised.kind) {
    case "not-headscale":
      return { kind: "nothing-to-do" };
    case "too-old":
      return { kind: "refused", reason: recognised.advice };
    case "headscale": {
      const tables = readSqlite(path);
      return tables === undefined
        ? { kind: "nothing-to-do" }
        : { kind: "read", version: recognised.version, conversion: convert(tables, tools) };
    }
  }
}

async function buildDatabase(
  path: string,
  conversion: Conversion,
  openStore: SqliteTakeover["openStore"],
): Promise<void> {
  const store = await openStore(path);
  try {
    const outcome = await store.commit([conversion.writes]);
    if (!outcome.ok) {
      throw new Error(
        `the converted database was refused by its own rules: ${outcome.refused.map((r) => r.reason).join("; ")}`,
      );
    }
  } finally {
    await store.close();
  }
  closeForOthers(path);
  syncFile(path);
}

/** A copy of the database as of now, with what is still in its WAL. */
function copyConsistently(from: string, to: string): void {
  const db = new DatabaseSync(from);
  try {
    db.exec("PRAGMA busy_timeout = 5000");
    db.prepare("VACUUM INTO ?").run(to);
  } finally {
    db.close();
  }
  syncFile(to);
}

/** Folds the WAL into the file, which succeeds only when no other connection has it open. */
function closeForOthers(path: string): boolean {
  const db = new DatabaseSync(path);
  try {
    const mode = db.prepare("PRAGMA journal_mode = DELETE").get()?.["journal_mode"];
    return mode === "delete";
  } catch {
    return false;
  } finally {
    db.close();
  }
}

function newestSnapshot(path: string): string | undefined {
  const start = `${basename(path)}.headscale-`;
  const names = readdirSync(dirname(path)).filter((name) => name.startsWith(start) && /-\d{8}T\d{6}Z$/.test(name));
  const newest = names.sort((a, b) => a.slice(-16).localeCompare(b.slice(-16))).at(-1);
  return newest === undefined ? undefined : join(dirname(path), newest);
}

function removeDatabase(path: string): void {
  for (const suffix of ["", "-wal", "-shm", "-journal"]) {
    rmSync(path + suffix, { force: true });
  }
}

/** `20261120T201500Z` */
function stamp(now: number): string {
  return new Date(now).toISOString().replace(/[-:]|\.\d+/g, "");
}

function syncFile(path: string): void {
  const file = openSync(path, "r+");
  fsyncSync(file);
  closeSync(file);
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  fsyncSync(folder);
  closeSync(folder);
}
