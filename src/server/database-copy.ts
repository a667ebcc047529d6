// Copying between databases named on the command line, or the configured one.
import { resolve } from "node:path";
import type { DatabaseConfig } from "../config/config.ts";
import { copyStore } from "../store/copy.ts";
import type { CopyOutcome } from "../store/copy.ts";
import { lockData } from "../store/data-lock.ts";
import { openPostgresStore } from "../store/postgres/store.ts";
import { openSqliteStore } from "../store/sqlite.ts";
import type { Store } from "../tailnet/store.ts";
import { databaseEntry, localOperator } from "./operator.ts";
import { placeOfDatabase, postgresTarget } from "./takeover-part.ts";

/** A database named on the command line. */
export type DatabaseName =
  | { readonly kind: "configured"; readonly config: DatabaseConfig }
  | { readonly kind: "named"; readonly text: string };

type Opening = { readonly ok: true; readonly store: Store } | { readonly ok: false; readonly reason: string };

/** Neither database may be in use by a server: both are locked for the time of the copy. */
export async function copyDatabase(from: DatabaseName, to: DatabaseName): Promise<CopyOutcome> {
  const source = await open(from);
  if (!source.ok) {
    return source;
  }
  try {
    const target = await open(to);
    if (!target.ok) {
      return target;
    }
    try {
      return await copyStore(source.store, target.store, (counts) =>
        databaseEntry(localOperator(), "database.copy", placeOf(to), { from: placeOf(from), counts }),
      );
    } finally {
      await target.store.close();
    }
  } finally {
    await source.store.close();
  }
}

/** For the audit log: without who may enter. */
function placeOf(name: DatabaseName): string {
  if (name.kind === "configured") {
    return placeOfDatabase(name.config);
  }
  const url = /^postgres(ql)?:/.test(name.text) ? URL.parse(name.text) : null;
  return url === null ? `sqlite:${sqlitePath(name.text)}` : `postgres://${url.host}${url.pathname}`;
}

function sqlitePath(text: string): string {
  return resolve(text.replace(/^sqlite3?:(\/\/)?/, ""));
}

function open(name: DatabaseName): Promise<Opening> {
  if (name.kind === "configured") {
    return name.config.type === "postgres"
      ? openPostgresStore(postgresTarget(name.config))
      : openSqlite(name.config.path);
  }
  return name.text.startsWith("postgres://") || name.text.startsWith("postgresql://")
    ? openPostgresUrl(name.text)
    : openSqlite(sqlitePath(name.text));
}

async function openSqlite(path: string): Promise<Opening> {
  const locked = lockData(path);
  if (!locked.ok) {
    return locked;
  }
  const store = await openSqliteStore({ path });
  return {
    ok: true,
    store: {
      ...store,
      close: async () => {
        await store.close();
        locked.lock.release();
      },
    },
  };
}

async function openPostgresUrl(text: string): Promise<Opening> {
  if (!URL.canParse(text)) {
    return { ok: false, reason: "this is no database URL; write postgres://USER:PASSWORD@HOST:PORT/NAME" };
  }
  const url = new URL(text);
  const database = decodeURIComponent(url.pathname.slice(1));
  if (database === "") {
    return { ok: false, reason: "the URL names no database; write postgres://USER:PASSWORD@HOST:PORT/NAME" };
  }
  return openPostgresStore({
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? 5432 : Number(url.port),
    database,
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    ssl: url.searchParams.get("sslmode") ?? "disable",
  });
}
