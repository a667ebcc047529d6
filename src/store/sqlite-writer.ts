// The thread that owns the database file: its waiting for the disk holds up nobody. Started by sqlite-thread.ts; answers
// calls one after the other.
import { parentPort, workerData } from "node:worker_threads";
import type { SqliteAnswer, SqliteCall, SqliteThreadData } from "./sqlite-calls.ts";
import { SqliteConnection } from "./sqlite-connection.ts";

const port = parentPort;
if (port === null) {
  throw new Error("sqlite-writer runs as a thread only");
}

const answer = (message: SqliteAnswer): void => port.postMessage(message);

function attempt(work: () => unknown): boolean {
  try {
    answer({ kind: "done", value: work() });
    return true;
  } catch (error) {
    answer({ kind: "failed", text: error instanceof Error ? error.message : String(error) });
    return false;
  }
}

function run(connection: SqliteConnection, call: SqliteCall): unknown {
  switch (call.name) {
    case "load":
      return connection.load();
    case "commit":
      return connection.commit(call.groups);
    case "savePresence":
      return connection.savePresence(call.rows);
    case "policyHistory":
      return connection.policyHistory(call.limit);
    case "auditLog":
      return connection.auditLog(call.query);
    case "auditChain":
      return connection.auditChain();
    case "ping":
      return connection.ping();
    case "close":
      return connection.close();
  }
}

// The other end is sqlite-thread.ts, of the same build.
const { options } = workerData as SqliteThreadData;
let connection: SqliteConnection | undefined;
const opened = attempt(() => {
  connection = new SqliteConnection(options, (text) => answer({ kind: "warning", text }));
});
if (opened) {
  port.on("message", (call: SqliteCall) => {
    attempt(() => (connection === undefined ? undefined : run(connection, call)));
    if (call.name === "close") {
      port.close();
    }
  });
}
