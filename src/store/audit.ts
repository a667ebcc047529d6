// Where the SQL stores and the one in memory meet the audit chain: the state of the chain inside one commit, which goes
// back when a group is refused.
import { hash } from "node:crypto";
import { auditHash, nextAuditEntry } from "../tailnet/audit-chain.ts";
import type { AuditChain, AuditEntry, StoredAuditEntry, Write } from "../tailnet/store.ts";

export type AuditWrite = Extract<Write, { readonly kind: "audit" | "prune-audit" | "restore-audit" }>;
export type PlainWrite = Exclude<Write, AuditWrite>;

export function isAuditWrite(write: Write): write is AuditWrite {
  return write.kind === "audit" || write.kind === "prune-audit" || write.kind === "restore-audit";
}

export function sha256(text: string): string {
  return hash("sha256", text, "hex");
}

/** The chain while a commit is made. */
export class ChainInCommit {
  chain: AuditChain;
  readonly #before: AuditChain;

  constructor(chain: AuditChain) {
    this.chain = chain;
    this.#before = chain;
  }

  get moved(): boolean {
    return this.chain !== this.#before;
  }

  /** The entry to store next. */
  append(entry: AuditEntry): StoredAuditEntry {
    const next = nextAuditEntry(this.chain.head, entry, sha256);
    this.chain = { ...this.chain, head: { id: next.id, hash: next.hash } };
    return next;
  }
}

/** Rows of a time before there was a chain, linked in their order. Each goes on where the one before it ended. */
export function linkOld(
  last: { readonly hash: string },
  row: Readonly<Record<string, unknown>>,
): { readonly id: number; readonly previous: string; readonly hash: string } {
  const entry: AuditEntry & { readonly id: number } = {
    id: Number(row["id"]),
    at: Number(row["at"]),
    actorKind: String(row["actor_kind"]),
    actorId: String(row["actor_id"]),
    from: String(row["from_address"]),
    action: String(row["action"]),
    target: String(row["target"]),
    before: String(row["before"]),
    after: String(row["after"]),
  };
  return { id: entry.id, previous: last.hash, hash: auditHash(last.hash, entry, sha256) };
}
