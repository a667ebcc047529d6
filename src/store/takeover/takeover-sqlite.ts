// Takes a headscale SQLite database over in place. The old file is copied aside first (consistent, WAL included), the
// new database is built beside it in one commit and then renamed over it: killed at any instant, the path holds either
// headscale's database or Hawser's, whole.
import { existsSync, mkdtempSync, realpathSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import type { Store } from "../../tailnet/store.ts";
import { convert } from "./convert.ts";
import type { Conversion, ConvertTools } from "./convert.ts";
import type { LegacyVersion } from "./legacy-version.ts";
import { holderOf } from "./open-elsewhere.ts";
import {
  copyDatabase,
  copyFiles,
  foldLog,
  needsWriting,
  ownLike,
  removeDatabase,
  stamped,
  syncFile,
  syncFolder,
} from "./sqlite-files.ts";
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
  try {
    return dryRun(path, tools);
  } catch (error) {
    if (!needsWriting(error)) {
      throw error;
    }
    // A log that must be read or a transaction that must be rolled back, where this user may only look.
    const folder = mkdtempSync(join(tmpdir(), "hawser-takeover-"));
    try {
      return dryRun(copyFiles(realpathSync(path), folder), tools);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
}

function dryRun(path: string, tools: ConvertTools): TakeoverOutcome {
  const read = readForTakeover(path, tools);
  return read.kind === "read" ? { kind: "done", summary: summarise(read.version, read.conversion) } : read;
}

export async function takeOverSqlite(takeover: SqliteTakeover): Promise<TakeoverOutcome> {
  const first = readForTakeover(takeover.path, takeover.tools);
  if (first.kind !== "read") {
    return first;
  }
  // The file itself: a link to it stays one.
  const path = realpathSync(takeover.path);
  const holder = holderOf(path);
  if (holder !== undefined) {
    return {
      kind: "refused",
      reason: `${holder} still has ${basename(path)} open; stop headscale first, then start Hawser again`,
    };
  }
  // Under names that mean nothing to anybody until both are whole; the next attempt replaces what a killed one left.
  const [copy, fresh] = [`${path}.headscale-copying`, `${path}.hawser-new`];
  try {
    copyDatabase(path, copy);
    // Nobody else writes from here on; what was written since the first read is in this one.
    const final = readForTakeover(path, takeover.tools);
    if (final.kind !== "read") {
      return final;
    }
    await buildDatabase(fresh, final.conversion, takeover.openStore);
    ownLike(path, fresh);
    const snapshot = stamped(`${path}.headscale-${final.version}`, takeover.now);
    renameSync(copy, snapshot);
    syncFolder(dirname(path));
    putInPlace(fresh, path, snapshot);
    return { kind: "done", summary: { ...summarise(final.version, final.conversion), snapshot } };
  } finally {
    removeDatabase(copy);
    removeDatabase(fresh);
  }
}

function putInPlace(fresh: string, path: string, snapshot: string): void {
  try {
    renameSync(fresh, path);
  } catch (error) {
    // headscale's file is still in its place, so there is no need for a copy of it.
    removeDatabase(snapshot);
    if (error instanceof Error && "code" in error && error.code === "EBUSY") {
      throw new Error(
        `${basename(path)} cannot be replaced because it is mounted as a single file; mount the folder that it is in`,
        { cause: error },
      );
    }
    throw error;
  }
  syncFolder(dirname(path));
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
    case "unsupported":
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
  removeDatabase(path);
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
  foldLog(path);
  syncFile(path);
}
