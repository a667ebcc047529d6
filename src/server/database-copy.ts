// Copying between databases named on the command line, or the configured one.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { DatabaseConfig } from "../config/config.ts";
import { copyStore } from "../store/copy.ts";
import type { CopyOutcome } from "../store/copy.ts";
import { lockData } from "../store/data-lock.ts";
import type { PostgresTarget } from "../store/postgres/connection.ts";
import { openPostgresStore } from "../store/postgres/store.ts";
import { openSqliteStore } from "../store/sqlite.ts";
import { recogniseSqlite } from "../store/takeover/sqlite-source.ts";
import { holdingsOf } from "../store/takeover/takeover-postgres.ts";
import type { Store } from "../tailnet/store.ts";
import { databaseEntry, localOperator } from "./operator.ts";
import { placeOfDatabase, postgresTarget } from "./takeover-part.ts";

/** A database named on the command line. */
export type DatabaseName =
  | { readonly kind: "configured"; readonly config: DatabaseConfig }
  | { readonly kind: "named"; readonly text: string };

type Opening = { readonly ok: true; readonly store: Store } | { readonly ok: false; readonly reason: string };

type Place =
  | { readonly kind: "sqlite"; readonly path: string }
  | { readonly kind: "postgres"; readonly target: PostgresTarget };

/** Neither database may be in use by a server: both are locked for the time of the copy. */
export async function copyDatabase(from: DatabaseName, to: DatabaseName): Promise<CopyOutcome> {
  const [source, target] = [placeNamed(from), placeNamed(to)];
  if (typeof source === "string" || typeof target === "string") {
    return { ok: false, reason: [source, target].filter((fault) => typeof fault === "string").join("; ") };
  }
  try {
    const fault = await whyNoSource(source);
    return fault === undefined
      ? await copy(source, target, (counts) =>
          databaseEntry(localOperator(), "database.copy", placeOf(to), { from: placeOf(from), counts }),
        )
      : { ok: false, reason: fault };
  } catch (error) {
    return { ok: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

async function copy(source: Place, target: Place, note: Parameters<typeof copyStore>[2]): Promise<CopyOutcome> {
  const from = await open(source);
  if (!from.ok) {
    return from;
  }
  try {
    const to = await open(target);
    if (!to.ok) {
      return to;
    }
    try {
      return await copyStore(from.store, to.store, note);
    } finally {
      await to.store.close();
    }
  } finally {
    await from.store.close();
  }
}

/** Opening makes what is not there: a name with a typo in it, or headscale's data, must not become an empty database. */
async function whyNoSource(source: Place): Promise<string | undefined> {
  const takeOverFirst = "holds a headscale database; take it over first: hawser takeover";
  switch (source.kind) {
    case "sqlite":
      if (!existsSync(source.path)) {
        return `there is no database at ${source.path}`;
      }
      return recogniseSqlite(source.path).kind === "not-headscale" ? undefined : `${source.path} ${takeOverFirst}`;
    case "postgres":
      switch (await holdingsOf(source.target)) {
        case "hawser":
          return undefined;
        case "headscale":
          return `${source.target.database} ${takeOverFirst}`;
        case "nothing":
          return `the database ${source.target.database} holds nothing of Hawser's`;
      }
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

/** Where it is, or what is wrong with its name. */
function placeNamed(name: DatabaseName): Place | string {
  if (name.kind === "configured") {
    return name.config.type === "postgres"
      ? { kind: "postgres", target: postgresTarget(name.config) }
      : { kind: "sqlite", path: name.config.path };
  }
  if (!/^postgres(?:ql)?:/.test(name.text)) {
    return { kind: "sqlite", path: sqlitePath(name.text) };
  }
  const target = urlTarget(name.text);
  return typeof target === "string" ? target : { kind: "postgres", target };
}

async function open(place: Place): Promise<Opening> {
  if (place.kind === "postgres") {
    return openPostgresStore(place.target);
  }
  const locked = lockData(place.path);
  if (!locked.ok) {
    return locked;
  }
  try {
    const store = await openSqliteStore({ path: place.path });
    const close = async (): Promise<void> => {
      await store.close();
      locked.lock.release();
    };
    return { ok: true, store: { ...store, close } };
  } catch (error) {
    locked.lock.release();
    throw error;
  }
}

const urlForm = "postgres://USER:PASSWORD@HOST:PORT/NAME";

/** As libpq reads such a URL: a socket's folder, which cannot stand where the host does, stands in its parameters. */
function urlTarget(text: string): PostgresTarget | string {
  const url = URL.parse(text);
  if (url === null) {
    return `this is no database URL; write ${urlForm}, and / ? # @ : % in a password as %2F %3F %23 %40 %3A %25`;
  }
  const { searchParams: given } = url;
  const database = given.get("dbname") ?? unescaped(url.pathname.slice(1));
  if (database === "") {
    return `the URL names no database; write ${urlForm}`;
  }
  const host = url.hostname === "" ? "localhost" : unescaped(url.hostname).replace(/^\[|\]$/g, "");
  const port = given.get("port") ?? url.port;
  return {
    host: given.get("host") ?? host,
    port: port === "" ? 5432 : Number(port),
    database,
    user: given.get("user") ?? unescaped(url.username),
    password: given.get("password") ?? unescaped(url.password),
    ssl: given.get("sslmode") ?? "prefer",
  };
}

/** A percent sign that escapes nothing is one. */
function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
