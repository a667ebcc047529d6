// What the main thread and the thread that writes say to each other.
import type { AuditQuery, Write } from "../tailnet/store.ts";
import type { PresenceRow } from "./sqlite-connection.ts";
import type { SqliteOptions } from "./sqlite-open.ts";

export type SqliteCall =
  | { readonly name: "load" }
  | { readonly name: "commit"; readonly groups: readonly (readonly Write[])[] }
  | { readonly name: "savePresence"; readonly rows: readonly PresenceRow[] }
  | { readonly name: "policyHistory"; readonly limit: number }
  | { readonly name: "auditLog"; readonly query: AuditQuery }
  | { readonly name: "auditChain" }
  | { readonly name: "ping" }
  | { readonly name: "close" };

/** Answered in the order of asking. */
export type SqliteAnswer =
  | { readonly kind: "done"; readonly value: unknown }
  | { readonly kind: "failed"; readonly text: string }
  /** Belongs to no call. */
  | { readonly kind: "warning"; readonly text: string };

/** What the thread is started with; a database that cannot be opened is its first answer. */
export interface SqliteThreadData {
  readonly options: SqliteOptions;
}
