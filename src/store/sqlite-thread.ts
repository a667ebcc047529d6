// The embedded store on a thread of its own: a commit waits for the disk, and on a slow one (an SD card, a busy volume)
// that is tens of milliseconds in which sessions and relayed packets must not stand still.
import { once } from "node:events";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { PolicyVersion } from "../tailnet/contract.ts";
import type { AuditChain, CommitOutcome, Snapshot, Store, StoredAuditEntry } from "../tailnet/store.ts";
import type { SqliteAnswer, SqliteCall, SqliteThreadData } from "./sqlite-calls.ts";
import type { SqliteStoreOptions } from "./sqlite.ts";

/** How long a ping may wait behind commits. */
const pingTimeout = 1_000;

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** Rejects with a reason in plain words when the file cannot be used. */
export async function openSqliteThread(options: SqliteStoreOptions): Promise<Store> {
  const { warn = () => undefined, ...rest } = options;
  const thread = new SqliteThread(rest, warn);
  await thread.opened;
  // Each answer is what sqlite-connection.ts returns for the call of that name.
  return {
    load: () => thread.call({ name: "load" }) as Promise<Snapshot>,
    commit: (groups) => thread.call({ name: "commit", groups }) as Promise<CommitOutcome>,
    savePresence: async (rows) => {
      await thread.call({ name: "savePresence", rows });
    },
    policyHistory: (limit) => thread.call({ name: "policyHistory", limit }) as Promise<readonly PolicyVersion[]>,
    auditLog: (query) => thread.call({ name: "auditLog", query }) as Promise<readonly StoredAuditEntry[]>,
    auditChain: () => thread.call({ name: "auditChain" }) as Promise<AuditChain>,
    ping: () => withTimeout(thread.call({ name: "ping" })),
    close: () => thread.close(),
  };
}

class SqliteThread {
  readonly opened: Promise<unknown>;
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  #gone: Error | undefined;

  constructor(options: SqliteThreadData["options"], warn: (text: string) => void) {
    const workerData: SqliteThreadData = { options };
    // Node's options are the main thread's; some of them no thread can start with.
    this.#worker = new Worker(writerFile(), { workerData, execArgv: [] });
    this.opened = this.#wait();
    this.#worker.on("message", (answer: SqliteAnswer) => {
      switch (answer.kind) {
        case "warning":
          return warn(answer.text);
        case "done":
          return this.#next()?.resolve(answer.value);
        case "failed":
          return this.#next()?.reject(new Error(answer.text));
      }
    });
    this.#worker.on("error", (error: unknown) => {
      const text = error instanceof Error ? error.message : String(error);
      this.#end(new Error(`the database's thread failed: ${text}`));
    });
    this.#worker.on("exit", () => this.#end(new Error("the store is closed")));
  }

  call(call: SqliteCall): Promise<unknown> {
    if (this.#gone !== undefined) {
      return Promise.reject(this.#gone);
    }
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#worker.postMessage(call);
    return this.#wait();
  }

  async close(): Promise<void> {
    if (this.#gone === undefined) {
      const exit = once(this.#worker, "exit");
      const closed = this.call({ name: "close" });
      this.#gone = new Error("the store is closed");
      await closed;
      this.#worker.ref();
      await exit;
    }
  }

  /** The thread keeps the process alive only while somebody waits for it. */
  #wait(): Promise<unknown> {
    this.#worker.ref();
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  #next(): Waiting | undefined {
    const next = this.#waiting.shift();
    if (this.#waiting.length === 0) {
      this.#worker.unref();
    }
    return next;
  }

  #end(reason: Error): void {
    this.#gone ??= reason;
    for (const waiting of this.#waiting.splice(0)) {
      waiting.reject(reason);
    }
  }
}

/** Beside this file in the sources; at the top of the folder in a build, whose chunks lie one deeper. */
function writerFile(): URL {
  const here = import.meta.url;
  if (here.endsWith(".ts")) {
    return new URL("./sqlite-writer.ts", here);
  }
  const inChunks = dirname(fileURLToPath(here)).endsWith("chunks");
  return new URL(inChunks ? "../sqlite-writer.js" : "./sqlite-writer.js", here);
}

async function withTimeout(answer: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("the database did not answer within a second")), pingTimeout);
  });
  try {
    await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
