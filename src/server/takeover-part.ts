// Taking a headscale database over, on whichever database the configuration names: at the start of the server, and for
// the command line's `takeover`.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Config, DatabaseConfig, PostgresConfig } from "../config/config.ts";
import { compilePolicy, formatProblems } from "../policy/index.ts";
import type { PostgresTarget } from "../store/postgres/connection.ts";
import { openSqliteStore } from "../store/sqlite.ts";
import type { ConvertTools, TagJudge } from "../store/takeover/convert.ts";
import type { TakeoverOutcome } from "../store/takeover/summary.ts";
import { dryRunSqlite, takeOverSqlite, undoSqliteTakeover } from "../store/takeover/takeover-sqlite.ts";
import { policyUserOf } from "../tailnet/derive.ts";
import { readHostinfo } from "../wire/hostinfo-decode.ts";
import { decodeDocument } from "../wire/json-fields.ts";
import type { Hostinfo } from "../wire/tailcfg.ts";

/** What of the configuration decides a takeover. */
export type TakeoverConfig = Pick<Config, "database" | "policy" | "serverUrl">;

export async function takeOver(config: TakeoverConfig): Promise<TakeoverOutcome> {
  const { database } = config;
  const tools = toolsFor(config);
  if (database.type === "postgres") {
    const { takeOverPostgres } = await import("../store/takeover/takeover-postgres.ts");
    return takeOverPostgres(postgresTarget(database), tools);
  }
  return takeOverSqlite({
    path: database.path,
    tools,
    openStore: (path) => openSqliteStore({ path }),
    now: Date.now(),
  });
}

/** The report of a takeover that does not happen. */
export async function dryRunTakeover(config: TakeoverConfig): Promise<TakeoverOutcome> {
  const { database } = config;
  if (database.type === "postgres") {
    const { dryRunPostgres } = await import("../store/takeover/takeover-postgres.ts");
    return dryRunPostgres(postgresTarget(database), toolsFor(config));
  }
  return dryRunSqlite(database.path, toolsFor(config));
}

/** What was put back and where Hawser's data is kept, in words; undefined when there is nothing to put back. */
export async function undoTakeover(config: DatabaseConfig): Promise<string | undefined> {
  if (config.type === "postgres") {
    const { undoPostgresTakeover } = await import("../store/takeover/takeover-postgres.ts");
    const kept = await undoPostgresTakeover(postgresTarget(config), Date.now());
    return kept === undefined ? undefined : `headscale's tables are back; Hawser's are kept in schema ${kept}`;
  }
  const undone = undoSqliteTakeover(config.path, Date.now());
  return undone === undefined
    ? undefined
    : `headscale's database is back, from ${undone.restored}; Hawser's is kept as ${undone.kept}`;
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
        return nobody(`the policy cannot be read: ${error instanceof Error ? error.message : String(error)}`);
      }
      if (text === undefined || text.trim() === "") {
        return nobody("there is no policy, so nobody owns a tag");
      }
      const settings = { serverUrl: config.serverUrl, randomizeClientPort: false };
      const compiled = compilePolicy(text, { users: users.map(policyUserOf), nodes: [], settings, tests: "warn" });
      return compiled.ok
        ? { mayTag: (user, tags, tag) => compiled.engine.mayTag({ user, tags }, tag) }
        : nobody(`the policy cannot be used: ${formatProblems(compiled.errors)}`);
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
