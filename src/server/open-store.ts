// The store that the configuration names. A headscale database found in its place is taken over first, with a copy kept.
import type { SqliteConfig } from "../config/config.ts";
import type { Logger } from "../ops/logger.ts";
import { lockData } from "../store/data-lock.ts";
import { openSqliteThread } from "../store/sqlite-thread.ts";
import type { Store } from "../tailnet/store.ts";
import { postgresTarget, takeOver, type TakeoverConfig } from "./takeover-part.ts";

export type StoreOpening =
  | { readonly ok: true; readonly store: Store }
  | { readonly ok: false; readonly reason: string };

/** Reasons are in plain words, for who runs the server. */
export async function openStore(config: TakeoverConfig, log: Logger): Promise<StoreOpening> {
  const { database } = config;
  try {
    return database.type === "postgres" ? await openTakenOver(config, log) : await openSqlite(config, database, log);
  } catch (error) {
    return { ok: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

async function openSqlite(config: TakeoverConfig, database: SqliteConfig, log: Logger): Promise<StoreOpening> {
  const locked = lockData(database.path);
  if (!locked.ok) {
    return locked;
  }
  let opening: StoreOpening | undefined;
  try {
    opening = await openTakenOver(config, log);
  } finally {
    if (opening?.ok !== true) {
      locked.lock.release();
    }
  }
  if (!opening.ok) {
    return opening;
  }
  const { store } = opening;
  const close = async (): Promise<void> => {
    await store.close();
    locked.lock.release();
  };
  return { ok: true, store: { ...store, close } };
}

async function openTakenOver(config: TakeoverConfig, log: Logger): Promise<StoreOpening> {
  const outcome = await takeOver(config);
  switch (outcome.kind) {
    case "refused":
      return { ok: false, reason: outcome.reason };
    case "nothing-to-do":
      break;
    case "done": {
      const { version, counts, report, snapshot } = outcome.summary;
      log.warn(
        { headscale: version, ...counts, copy: snapshot },
        "headscale's database was taken over; the copy that was kept leads back: hawser takeover --undo",
      );
      for (const { kind, subject, text } of report) {
        // What had to be done to every row is for the record; the rest is for somebody to look at.
        log[kind === "changed" ? "info" : "warn"]({ kind }, `${subject}: ${text}`);
      }
    }
  }
  const { database } = config;
  if (database.type === "postgres") {
    const { openPostgresStore } = await import("../store/postgres/store.ts");
    return openPostgresStore(postgresTarget(database));
  }
  const store = await openSqliteThread({
    path: database.path,
    writeAheadLog: database.writeAheadLog,
    walAutocheckpoint: database.walAutocheckpoint,
    warn: (text) => log.warn({}, text),
  });
  return { ok: true, store };
}
