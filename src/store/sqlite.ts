// The embedded store on the thread that calls it: for commands and short work. Commits are durable (synchronous=FULL)
// when they return. A server uses sqlite-thread.ts, which does the same on a thread of its own.
import type { Store } from "../tailnet/store.ts";
import { SqliteConnection } from "./sqlite-connection.ts";
import type { SqliteOptions } from "./sqlite-open.ts";

export interface SqliteStoreOptions extends SqliteOptions {
  /** Told of rows that are left out because they are damaged. */
  readonly warn?: (text: string) => void;
}

/** Rejects with a reason in plain words when the file cannot be used. */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const connection = new SqliteConnection(options, options.warn ?? (() => undefined));
  return {
    load: async () => connection.load(),
    commit: async (groups) => connection.commit(groups),
    savePresence: async (rows) => connection.savePresence(rows),
    policyHistory: async (limit) => connection.policyHistory(limit),
    auditLog: async (query) => connection.auditLog(query),
    auditChain: async () => connection.auditChain(),
    ping: async () => connection.ping(),
    close: async () => connection.close(),
  };
}
