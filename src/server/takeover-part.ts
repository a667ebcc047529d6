// Taking a headscale database over, on whichever database the configuration names: at the start of the server, and for
// the command line's `takeover`.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Config, DatabaseConfig, PostgresConfig } from "../config/config.ts";
import { compilePolicy, formatProblems } from "../policy/index.ts";
import type { PostgresTarget } from "../store/postgres/connection.ts";
import { lockData } from "../store/data-lock.ts";
import { openSqliteStore } from "../store/sqlite.ts";
import type { ConvertTools, TagJudge } from "../store/takeover/convert.ts";
import type { TakeoverOutcome } from "../store/takeover/summary.ts";
import { needsWriting } from "../store/takeover/sqlite-files.ts";
import { dryRunSqlite, takeOverSqlite } from "../store/takeover/takeover-sqlite.ts";
import { undoSqliteTakeover } from "../store/takeover/undo-sqlite.ts";
import { policyUserOf } from "../tailnet/derive.ts";
import type { Actor } from "../tailnet/contract.ts";
import type { AuditEntry, Store } from "../tailnet/store.ts";
import { readHostinfo } from "../wire/hostinfo-decode.ts";
import { decodeDocument } from "../wire/json-fields.ts";
import type { Hostinfo } from "../wire/tailcfg.ts";
import { databaseEntry, localOperator, startingServer } from "./operator.ts";
import { faultText } from "./startup.ts";

/** What of the configuration decides a takeover. */
export type TakeoverConfig = Pick<Config, "database" | "policy" | "serverUrl">;

/** For who holds the database already: the server at its start. */
export async function takeOver(config: TakeoverConfig, actor: Actor = startingServer): Promise<TakeoverOutcome> {
  const { database } = config;
  const tools: ConvertTools = { ...toolsFor(config), note: (done) => takeoverEntry(actor, database, done) };
  return orWhyNot(database, async () => {
    if (database.type === "postgres") {
      const { takeOverPostgres } = await import("../store/takeover/takeover-postgres.ts");
      return takeOverPostgres(postgresTarget(database), tools);
    }
    const openStore = (path: string): Promise<Store> => openSqliteStore({ path });
    return takeOverSqlite({ path: database.path, tools, openStore, now: Date.now() });
  });
}

/** The command line's takeover: with the server away. */
export async function takeOverAlone(config: TakeoverConfig): Promise<TakeoverOutcome> {
  return orWhyNot(config.database, () => alone(config.database, () => takeOver(config, localOperator())));
}

type Noted = Parameters<NonNullable<ConvertTools["note"]>>[0];

function takeoverEntry(actor: Actor, database: DatabaseConfig, { version, counts, report }: Noted): AuditEntry {
  const kinds = new Map<string, number>();
  for (const { kind } of report.lines) {
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  return databaseEntry(actor, "takeover", placeOfDatabase(database), {
    from: `headscale ${version}`,
    counts,
    report: Object.fromEntries(kinds),
  });
}

/** Without who may enter. */
export function placeOfDatabase(config: DatabaseConfig): string {
  return config.type === "sqlite" ? `sqlite:${config.path}` : `postgres://${config.host}/${config.name}`;
}

/** SQLite's files are locked by one more file; PostgreSQL's takeover locks the database itself. */
async function alone<Answer>(
  config: DatabaseConfig,
  work: () => Promise<Answer>,
): Promise<Answer | { readonly kind: "refused"; readonly reason: string }> {
  // Nothing is made where there is nothing.
  if (config.type === "postgres" || !existsSync(dirname(config.path))) {
    return work();
  }
  const locked = lockData(config.path);
  if (!locked.ok) {
    return { kind: "refused", reason: locked.reason };
  }
  try {
    return await work();
  } finally {
    locked.lock.release();
  }
}

/** What the system or the database has against it, in words for whoever runs the server. */
async function orWhyNot<Answer>(
  database: DatabaseConfig,
  work: () => Promise<Answer>,
): Promise<Answer | { readonly kind: "refused"; readonly reason: string }> {
  try {
    return await work();
  } catch (error) {
    const fault = faultOf(error);
    if (fault === undefined) {
      throw error;
    }
    const reason =
      database.type === "sqlite"
        ? fileFault(error, fault, database.path)
        : `the database ${database.name} at ${database.host} cannot be used: ${fault}`;
    return { kind: "refused", reason };
  }
}

/** Only what came from outside has a code; all else that is thrown is a bug. */
function faultOf(error: unknown): string | undefined {
  if (!(error instanceof Error && "code" in error && typeof error.code === "string")) {
    return undefined;
  }
  // Several addresses of one host failed: each of them says why.
  return error instanceof AggregateError
    ? error.errors.map((one: unknown) => faultText(one)).join("; ")
    : error.message;
}

function fileFault(error: unknown, fault: string, path: string): string {
  if (isFull(error)) {
    return `there is no room beside ${path} for a copy of headscale's database and for Hawser's (about twice its size); headscale's was left as it was`;
  }
  const forbidden = needsWriting(error) || /^E(?:ACCES|PERM|ROFS):/.test(fault);
  return forbidden
    ? `this user must be able to read and to write ${path} and its folder (${fault}); nothing was changed`
    : `${path} cannot be used: ${fault}`;
}

/** SQLITE_FULL, with or without an extended code, or the file system's own word for it. */
function isFull(error: unknown): boolean {
  if (!(error instanceof Error)) {
    return false;
  }
  const sqlite = "errcode" in error && typeof error.errcode === "number" ? error.errcode : 0;
  return (sqlite & 255) === 13 || ("code" in error && error.code === "ENOSPC");
}

/** The report of a takeover that does not happen. */
export async function dryRunTakeover(config: TakeoverConfig): Promise<TakeoverOutcome> {
  const { database } = config;
  return orWhyNot(database, async () => {
    if (database.type === "postgres") {
      const { dryRunPostgres } = await import("../store/takeover/takeover-postgres.ts");
      return dryRunPostgres(postgresTarget(database), toolsFor(config));
    }
    return dryRunSqlite(database.path, toolsFor(config));
  });
}

export type Undoing =
  /** What was put back and where Hawser's data is kept, in words. */
  | { readonly kind: "undone"; readonly text: string }
  | { readonly kind: "nothing-to-do" }
  | { readonly kind: "refused"; readonly reason: string };

export function undoTakeover(config: DatabaseConfig): Promise<Undoing> {
  return orWhyNot(config, () => undo(config));
}

async function undo(config: DatabaseConfig): Promise<Undoing> {
  if (config.type === "postgres") {
    const { undoPostgresTakeover } = await import("../store/takeover/takeover-postgres.ts");
    const undone = await undoPostgresTakeover(postgresTarget(config), Date.now(), (kept) => undoEntry(config, kept));
    return undone.kind === "undone"
      ? { kind: "undone", text: `headscale's tables are back; Hawser's are kept in schema ${undone.kept}` }
      : undone;
  }
  return alone(config, async (): Promise<Undoing> => {
    const undone = undoSqliteTakeover(config.path, Date.now());
    if (undone.kind !== "undone") {
      return undone;
    }
    await noteInKept(undone.kept, undoEntry(config, undone.kept, undone.restored));
    return {
      kind: "undone",
      text: `headscale's database is back, from ${undone.restored}; Hawser's is kept as ${undone.kept}`,
    };
  });
}

/** The last entry of the log that is kept aside: whoever takes that data up again sees why it ends. */
function undoEntry(config: DatabaseConfig, kept: string, restored?: string): AuditEntry {
  const after = restored === undefined ? { kept } : { kept, restored };
  return databaseEntry(localOperator(), "takeover.undo", placeOfDatabase(config), after);
}

/** What is damaged is kept as it is. */
async function noteInKept(path: string, entry: AuditEntry): Promise<void> {
  if (!existsSync(path)) {
    return;
  }
  try {
    const store = await openSqliteStore({ path });
    try {
      await store.commit([[{ kind: "audit", entry }]]);
    } finally {
      await store.close();
    }
  } catch (error) {
    if (!(error instanceof Error && "errcode" in error)) {
      throw error;
    }
  }
}

export function postgresTarget(config: PostgresConfig): PostgresTarget {
  return {
    host: config.host,
    port: config.port === 0 ? 5432 : config.port,
    database: config.name,
    user: config.user,
    password: config.pass,
    ssl: config.sslMode === "disable" ? false : config.sslMode === "" ? true : config.sslMode,
  };
}

function toolsFor(config: TakeoverConfig): ConvertTools {
  return {
    hash: (text) => createHash("sha256").update(text, "utf8").digest("hex"),
    decodeHostinfo,
    judgeTags: (stored, users) => {
      const nobody = (problem: string): TagJudge => ({ mayTag: () => false, problem });
      let text: string | undefined;
      try {
        text = config.policy.mode === "database" ? stored : policyFile(config.policy.path);
      } catch (error) {
        const problem = `the policy cannot be read: ${error instanceof Error ? error.message : String(error)}`;
        return { ...nobody(problem), unusable: true };
      }
      if (text === undefined || text.trim() === "") {
        return nobody("there is no policy, so nobody owns a tag");
      }
      const settings = { serverUrl: config.serverUrl, randomizeClientPort: false };
      const compiled = compilePolicy(text, { users: users.map(policyUserOf), nodes: [], settings, tests: "warn" });
      return compiled.ok
        ? { mayTag: (user, tags, tag) => compiled.engine.mayTag({ user, tags }, tag) }
        : { ...nobody(`the policy cannot be used: ${formatProblems(compiled.errors)}`), unusable: true };
    },
  };
}

function policyFile(path: string): string | undefined {
  return path === "" ? undefined : readFileSync(path, "utf8");
}

function decodeHostinfo(value: unknown): Hostinfo | undefined {
  const outcome = decodeDocument(Buffer.from(JSON.stringify(value) ?? ""), readHostinfo);
  return outcome.ok ? outcome.value : undefined;
}
