// The store that the configuration names. A headscale database found in its place is taken over first, with a copy kept.
import { createHash } from "node:crypto";
import { basename } from "node:path";
import type { DatabaseConfig, PostgresConfig, SqliteConfig } from "../config/config.ts";
import type { Logger } from "../ops/logger.ts";
import { lockData } from "../store/data-lock.ts";
import { openPostgresStore } from "../store/postgres/store.ts";
import { openSqliteStore } from "../store/sqlite.ts";
import { takeOverSqlite } from "../store/takeover/takeover-sqlite.ts";
import type { Store } from "../tailnet/store.ts";
import { readHostinfo } from "../wire/hostinfo-decode.ts";
import { decodeDocument } from "../wire/json-fields.ts";
import type { Hostinfo } from "../wire/tailcfg.ts";

export type StoreOpening =
  | { readonly ok: true; readonly store: Store }
  | { readonly ok: false; readonly reason: string };

/** Reasons are in plain words, for who runs the server. */
export async function openStore(config: DatabaseConfig, log: Logger): Promise<StoreOpening> {
  try {
    return config.type === "postgres" ? await openPostgres(config) : await openSqlite(config, log);
  } catch (error) {
    return { ok: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

function openPostgres(config: PostgresConfig): Promise<StoreOpening> {
  return openPostgresStore({
    host: config.host,
    port: config.port === 0 ? 5432 : config.port,
    database: config.name,
    user: config.user,
    password: config.pass,
    ssl: config.sslMode === "disable" ? false : config.sslMode === "" ? true : config.sslMode,
  });
}

async function openSqlite(config: SqliteConfig, log: Logger): Promise<StoreOpening> {
  const locked = lockData(config.path);
  if (!locked.ok) {
    return locked;
  }
  let opening: StoreOpening | undefined;
  try {
    opening = await openLocked(config, log);
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

async function openLocked(config: SqliteConfig, log: Logger): Promise<StoreOpening> {
  const open = (path: string): Promise<Store> =>
    openSqliteStore({
      path,
      writeAheadLog: config.writeAheadLog,
      walAutocheckpoint: config.walAutocheckpoint,
      warn: (text) => log.warn({}, text),
    });
  const outcome = await takeOverSqlite({
    path: config.path,
    tools: {
      hash: (text) => createHash("sha256").update(text, "utf8").digest("hex"),
      decodeHostinfo,
      // No policy has been read yet, so a tag that was only asked for is not granted.
      mayTag: () => false,
    },
    openStore: open,
    now: Date.now(),
  });
  switch (outcome.kind) {
    case "refused":
      return { ok: false, reason: outcome.reason };
    case "nothing-to-do":
      break;
    case "done": {
      const { version, counts, report, snapshot } = outcome.summary;
      log.warn(
        { headscale: version, ...counts, copy: snapshot },
        `headscale's database ${basename(config.path)} was taken over; the copy that was kept leads back`,
      );
      for (const { kind, subject, text } of report) {
        log.warn({ kind, subject }, text);
      }
    }
  }
  return { ok: true, store: await open(config.path) };
}

function decodeHostinfo(value: unknown): Hostinfo | undefined {
  const outcome = decodeDocument(Buffer.from(JSON.stringify(value) ?? ""), readHostinfo);
  return outcome.ok ? outcome.value : undefined;
}
