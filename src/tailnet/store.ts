// The store as the tailnet owns it: one asynchronous interface that SQLite, PostgreSQL and the in-memory store with
// crash points implement, all held to the same tests (store/store-suite.ts). A commit is one transaction: it moves the
// durable sequence number by one (a row updated inside the transaction) and is on disk when the promise resolves.
import type { ApiKeyId, NodeId, PreAuthKeyId, UserId } from "../wire/ids.ts";
import type { ApiKey, NodeRecord, PreAuthKey, Presence, User } from "./model.ts";
import type { PolicyVersion } from "./contract.ts";

/** Only hashes of secrets are stored (SHA-256 over the high-entropy secret, or a legacy form named so). */
export interface StoredSecret {
  readonly algorithm: "sha256" | "bcrypt" | "sha256-legacy";
  /** Hex for sha256; the bcrypt string for bcrypt. */
  readonly hash: string;
}

export interface AuditEntry {
  readonly at: number;
  readonly actorKind: string;
  readonly actorId: string;
  readonly from: string;
  readonly action: string;
  readonly target: string;
  /** JSON of what was before and is after, without secrets. */
  readonly before: string;
  readonly after: string;
}

/** Ids ascend in the order of storing; the hashes are audit-chain.ts's, made where the order is decided. */
export interface StoredAuditEntry extends AuditEntry {
  readonly id: number;
  /** Hash of the entry before, in hex. */
  readonly previous: string;
  readonly hash: string;
}
/** An entry's place in the chain. */
export interface AuditLink {
  readonly id: number;
  readonly hash: string;
}
export interface AuditChain {
  /** What was stored last. */
  readonly head: AuditLink;
  /** What the oldest entry follows: the start, or the last entry that pruning took. */
  readonly anchor: AuditLink;
}
export interface AuditQuery {
  /** Newest first, lower ids only. */
  readonly before?: number;
  /** Oldest first, higher ids only. Not together with `before`. */
  readonly after?: number;
  readonly limit: number;
}

/** One durable write. Ids are assigned by the model from the counters it loaded; uniqueness is the database's to refuse. */
export type Write =
  | { readonly kind: "put-user"; readonly user: User }
  | { readonly kind: "delete-user"; readonly id: UserId }
  | { readonly kind: "put-node"; readonly node: NodeRecord; readonly presence?: Presence }
  | { readonly kind: "delete-node"; readonly id: NodeId }
  | { readonly kind: "put-pre-auth-key"; readonly key: PreAuthKey; readonly secret?: StoredSecret }
  /** Fails the whole commit with `conflict` unless the key is still unused: the database's word on single use. */
  | { readonly kind: "use-pre-auth-key"; readonly id: PreAuthKeyId }
  | { readonly kind: "delete-pre-auth-key"; readonly id: PreAuthKeyId }
  | { readonly kind: "put-api-key"; readonly key: ApiKey; readonly secret?: StoredSecret }
  | { readonly kind: "delete-api-key"; readonly id: ApiKeyId }
  | { readonly kind: "put-policy"; readonly policy: PolicyVersion }
  /** Ids up to these count as given out, though no row has them (they were deleted before the data came here). */
  | { readonly kind: "reserve-ids"; readonly highest: Snapshot["highest"] }
  | { readonly kind: "put-setting"; readonly key: string; readonly value: string }
  | { readonly kind: "audit"; readonly entry: AuditEntry }
  /** Takes the oldest entries, up to the first that is not older, and says so in an entry; nothing to take: does nothing. */
  | { readonly kind: "prune-audit"; readonly olderThan: number; readonly at: number }
  /** A chain as it stands elsewhere, into an empty one; refused otherwise. */
  | { readonly kind: "restore-audit"; readonly chain: AuditChain; readonly entries: readonly StoredAuditEntry[] };

export interface Snapshot {
  readonly sequence: number;
  readonly users: readonly User[];
  readonly nodes: readonly { readonly record: NodeRecord; readonly presence: Presence }[];
  readonly preAuthKeys: readonly { readonly key: PreAuthKey; readonly secret: StoredSecret }[];
  readonly apiKeys: readonly { readonly key: ApiKey; readonly secret: StoredSecret }[];
  readonly policy: PolicyVersion | null;
  readonly settings: Readonly<Record<string, string>>;
  /** Highest id ever given out, per table: ids are never reused. */
  readonly highest: {
    readonly user: number;
    readonly node: number;
    readonly preAuthKey: number;
    readonly apiKey: number;
    readonly policy: number;
  };
}

export type CommitOutcome =
  | { readonly ok: true; readonly sequence: number }
  /** `index` of the group whose write was refused (uniqueness, used key); nothing of that group was stored, the others were. */
  | {
      readonly ok: false;
      readonly sequence: number;
      readonly refused: readonly { readonly index: number; readonly reason: string }[];
    };

export interface Store {
  load(): Promise<Snapshot>;
  /** Groups are independent commands batched into one transaction; a refused group is left out, the rest commits. */
  commit(groups: readonly (readonly Write[])[]): Promise<CommitOutcome>;
  /** Presence written behind: last write wins, no sequence number, rows of deleted nodes ignored. */
  savePresence(rows: readonly { readonly id: NodeId; readonly presence: Presence }[]): Promise<void>;
  /** Newest first. */
  policyHistory(limit: number): Promise<readonly PolicyVersion[]>;
  /** Newest first, or oldest first where `after` is given. */
  auditLog(query: AuditQuery): Promise<readonly StoredAuditEntry[]>;
  auditChain(): Promise<AuditChain>;
  /** Answers within a second or throws: the health check's question. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
