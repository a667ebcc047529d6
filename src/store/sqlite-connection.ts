// The store's work on one SQLite connection, synchronously: one transaction a commit, a savepoint a group, the sequence
// number moved inside it. sqlite.ts decides on which thread this runs.
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import type { PolicyVersion } from "../tailnet/contract.ts";
import type { NodeRecord, Presence } from "../tailnet/model.ts";
import { pruneEntry } from "../tailnet/audit-chain.ts";
import type {
  AuditChain,
  AuditLink,
  AuditQuery,
  CommitOutcome,
  Snapshot,
  StoredAuditEntry,
  Write,
} from "../tailnet/store.ts";
import type { NodeId } from "../wire/ids.ts";
import { type AuditWrite, ChainInCommit, isAuditWrite } from "./audit.ts";
import { refusal, refusalByColumn } from "./refusals.ts";
import {
  apiKeyOf,
  auditChainOf,
  auditOf,
  DamagedRow,
  nodeOf,
  policyOf,
  preAuthKeyOf,
  presenceOf,
  type Row,
  secretOf,
  userOf,
} from "./rows.ts";
import {
  auditChainStep,
  auditStep,
  highWaterSteps,
  type HighWater,
  type Parent,
  presenceStep,
  raiseMarks,
  type Step,
  stepsOf,
} from "./sqlite-writes.ts";
import { openDatabase, type SqliteOptions } from "./sqlite-open.ts";

/** The only tailnet there is so far. */
const tailnet = 1;

export interface PresenceRow {
  readonly id: NodeId;
  readonly presence: Presence;
}

export class SqliteConnection {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #warn: (text: string) => void;

  /** Throws with a reason in plain words when the file cannot be used. */
  constructor(options: SqliteOptions, warn: (text: string) => void) {
    this.#db = openDatabase(options);
    this.#warn = warn;
  }

  load(): Snapshot {
    this.#run("BEGIN");
    try {
      const nodes: { record: NodeRecord; presence: Presence }[] = [];
      const joined = "SELECT * FROM nodes LEFT JOIN presence ON node_id = id WHERE tailnet = ? ORDER BY id";
      this.#each("nodes", joined, (row) => nodes.push({ record: nodeOf(row), presence: presenceOf(row) }));
      const users = this.#table("users", userOf);
      const preAuthKeys = this.#table("pre_auth_keys", (row) => ({ key: preAuthKeyOf(row), secret: secretOf(row) }));
      const apiKeys = this.#table("api_keys", (row) => ({ key: apiKeyOf(row), secret: secretOf(row) }));
      return {
        sequence: this.#sequence(),
        users,
        nodes,
        preAuthKeys,
        apiKeys,
        policy: this.policyHistory(1)[0] ?? null,
        settings: this.#settings(),
        highest: this.#highest(),
      };
    } finally {
      this.#run("COMMIT");
    }
  }

  commit(groups: readonly (readonly Write[])[]): CommitOutcome {
    const refused: { index: number; reason: string }[] = [];
    const marks: HighWater = { user: 0, node: 0, preAuthKey: 0, apiKey: 0, policy: 0 };
    this.#run("BEGIN IMMEDIATE");
    try {
      const chain = new ChainInCommit(this.auditChain());
      groups.forEach((writes, index) => {
        const reason = this.#storeGroup(writes, chain);
        if (reason === undefined) {
          raiseMarks(marks, writes);
        } else {
          refused.push({ index, reason });
        }
      });
      if (refused.length === groups.length) {
        const sequence = this.#sequence();
        this.#run("ROLLBACK");
        return refused.length === 0 ? { ok: true, sequence } : { ok: false, sequence, refused };
      }
      for (const step of highWaterSteps(marks)) {
        this.#step(step);
      }
      if (chain.moved) {
        this.#step(auditChainStep(chain.chain, tailnet));
      }
      const sequence = this.#moveSequence();
      this.#run("COMMIT");
      return refused.length === 0 ? { ok: true, sequence } : { ok: false, sequence, refused };
    } catch (error) {
      this.#rollBack();
      throw error;
    }
  }

  savePresence(rows: readonly PresenceRow[]): void {
    this.#run("BEGIN IMMEDIATE");
    try {
      for (const { id, presence } of rows) {
        this.#step(presenceStep(id, presence));
      }
      this.#run("COMMIT");
    } catch (error) {
      this.#rollBack();
      throw error;
    }
  }

  policyHistory(limit: number): readonly PolicyVersion[] {
    const rows: PolicyVersion[] = [];
    const sql = "SELECT * FROM policies WHERE tailnet = ? ORDER BY id DESC LIMIT ?";
    this.#each("policies", sql, (row) => rows.push(policyOf(row)), limit);
    return rows;
  }

  auditLog({ before, after, limit }: AuditQuery): readonly StoredAuditEntry[] {
    const rows: StoredAuditEntry[] = [];
    const [sql, bound] =
      after === undefined
        ? [
            "SELECT * FROM audit WHERE tailnet = ? AND id < ? ORDER BY id DESC LIMIT ?",
            before ?? Number.MAX_SAFE_INTEGER,
          ]
        : ["SELECT * FROM audit WHERE tailnet = ? AND id > ? ORDER BY id LIMIT ?", after];
    this.#each("audit", sql, (row) => rows.push(auditOf(row)), bound, limit);
    return rows;
  }

  auditChain(): AuditChain {
    return auditChainOf(this.#prepared("SELECT * FROM audit_chain WHERE tailnet = ?").get(tailnet));
  }

  ping(): void {
    this.#prepared("SELECT 1").get();
  }

  close(): void {
    if (this.#db.isOpen) {
      this.#statements.clear();
      this.#db.close();
    }
  }

  /** Stores a group, or undoes all of it and returns why. */
  #storeGroup(writes: readonly Write[], chain: ChainInCommit): string | undefined {
    const before = chain.chain;
    this.#run("SAVEPOINT one_group");
    for (const write of writes) {
      const reason = this.#storeWrite(write, chain);
      if (reason !== undefined) {
        this.#run("ROLLBACK TO one_group");
        this.#run("RELEASE one_group");
        chain.chain = before;
        return reason;
      }
    }
    this.#run("RELEASE one_group");
    return undefined;
  }

  #storeWrite(write: Write, chain: ChainInCommit): string | undefined {
    if (isAuditWrite(write)) {
      return this.#storeAudit(write, chain);
    }
    for (const step of stepsOf(write, tailnet)) {
      const reason = this.#refusedStep(step);
      if (reason !== undefined) {
        return reason;
      }
    }
    return undefined;
  }

  #storeAudit(write: AuditWrite, chain: ChainInCommit): string | undefined {
    switch (write.kind) {
      case "audit":
        this.#step(auditStep(chain.append(write.entry), tailnet));
        return undefined;
      case "prune-audit":
        this.#pruneAudit(write, chain);
        return undefined;
      case "restore-audit":
        if (chain.chain.head.id !== 0) {
          return refusal.auditNotEmpty;
        }
        for (const entry of write.entries) {
          this.#step(auditStep(entry, tailnet));
        }
        chain.chain = write.chain;
        return undefined;
    }
  }

  #pruneAudit({ olderThan, at }: Extract<AuditWrite, { kind: "prune-audit" }>, chain: ChainInCommit): void {
    const kept = this.#prepared("SELECT min(id) AS id FROM audit WHERE tailnet = ? AND at >= ?").get(
      tailnet,
      olderThan,
    );
    const firstKept = typeof kept?.["id"] === "number" ? kept["id"] : Number.MAX_SAFE_INTEGER;
    const last = this.#prepared("SELECT id, hash FROM audit WHERE tailnet = ? AND id < ? ORDER BY id DESC LIMIT 1").get(
      tailnet,
      firstKept,
    );
    if (last === undefined) {
      return;
    }
    const anchor: AuditLink = { id: Number(last["id"]), hash: String(last["hash"]) };
    // Announced first: the database lets nothing else be removed.
    chain.chain = { ...chain.chain, anchor };
    this.#step(auditChainStep(chain.chain, tailnet));
    const removed = this.#step({
      sql: "DELETE FROM audit WHERE tailnet = ? AND id <= ?",
      parameters: [tailnet, anchor.id],
    });
    this.#step(auditStep(chain.append(pruneEntry(at, anchor, removed)), tailnet));
  }

  #refusedStep(step: Step): string | undefined {
    try {
      const changed = this.#step(step);
      return changed === 0 ? step.mustTouch : undefined;
    } catch (error) {
      const reason = this.#constraintReason(error, step);
      if (reason === undefined) {
        throw error;
      }
      return reason;
    }
  }

  /** Why a constraint refused the statement; undefined when something else went wrong. */
  #constraintReason(error: unknown, step: Step): string | undefined {
    if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") {
      return undefined;
    }
    if (foreignKeyCodes.has(error.errcode)) {
      return step.parents?.find((parent) => !this.#exists(parent))?.missing ?? step.child;
    }
    if (!uniqueCodes.has(error.errcode)) {
      return undefined;
    }
    const column = error.message.split(/[ ,]+/).at(-1) ?? "";
    return refusalByColumn[column] ?? error.message;
  }

  #exists({ table, id }: Parent): boolean {
    return id === null || this.#prepared(`SELECT 1 FROM ${table} WHERE id = ?`).get(id) !== undefined;
  }

  #step(step: Step): number {
    // The driver takes a mutable list and does not change it.
    const parameters = step.parameters as SQLInputValue[];
    return Number(this.#prepared(step.sql).run(...parameters).changes);
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #run(sql: string): void {
    this.#prepared(sql).run();
  }

  /** After an error; SQLite has rolled back by itself when the disk was at fault. */
  #rollBack(): void {
    if (this.#db.isTransaction) {
      this.#run("ROLLBACK");
    }
  }

  #moveSequence(): number {
    const sql =
      "INSERT INTO sequences (tailnet, sequence) VALUES (?, 1) " +
      "ON CONFLICT (tailnet) DO UPDATE SET sequence = sequence + 1 RETURNING sequence";
    return Number(this.#prepared(sql).get(tailnet)?.["sequence"]);
  }

  #sequence(): number {
    const row = this.#prepared("SELECT sequence FROM sequences WHERE tailnet = ?").get(tailnet);
    return Number(row?.["sequence"] ?? 0);
  }

  #settings(): Record<string, string> {
    const settings: Record<string, string> = {};
    for (const row of this.#prepared("SELECT key, value FROM settings WHERE tailnet = ?").all(tailnet)) {
      settings[String(row["key"])] = String(row["value"]);
    }
    return settings;
  }

  #highest(): HighWater {
    const highest: HighWater = { user: 0, node: 0, preAuthKey: 0, apiKey: 0, policy: 0 };
    for (const row of this.#prepared("SELECT kind, value FROM high_water").all()) {
      const kind = String(row["kind"]);
      if (Object.hasOwn(highest, kind)) {
        highest[kind as keyof HighWater] = Number(row["value"]);
      }
    }
    return highest;
  }

  #table<Value>(table: string, read: (row: Row) => Value): readonly Value[] {
    const values: Value[] = [];
    this.#each(table, `SELECT * FROM ${table} WHERE tailnet = ? ORDER BY id`, (row) => values.push(read(row)));
    return values;
  }

  /** One damaged row never stops the others: it is told and left where it is. */
  #each(table: string, sql: string, read: (row: Row) => void, ...more: SQLInputValue[]): void {
    const statement = this.#prepared(sql);
    // A number too large for JavaScript would stop the reading of all rows instead of one.
    statement.setReadBigInts(true);
    for (const row of statement.iterate(tailnet, ...more)) {
      try {
        read(row);
      } catch (error) {
        if (!(error instanceof DamagedRow)) {
          throw error;
        }
        this.#warn(`row ${String(row["id"])} of ${table} is left out: ${error.message}`);
      }
    }
  }
}

/** Extended result codes of SQLite for constraints. */
const uniqueCodes = new Set([2067, 1555]);
const foreignKeyCodes = new Set([787, 1811]);
