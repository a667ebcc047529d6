// Who works on a database without a server, for its audit log.
import { userInfo } from "node:os";
import type { Actor } from "../tailnet/contract.ts";
import type { AuditEntry } from "../tailnet/store.ts";

/** The person at the command line, by the name the system has. */
export function localOperator(): Actor {
  return { kind: "cli", id: accountName(), from: "" };
}

/** The server itself, when it starts. */
export const startingServer: Actor = { kind: "server", id: "start", from: "" };

function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    // Containers run as users who stand in no list.
    return `uid ${process.getuid?.() ?? "unknown"}`;
  }
}

/** What was done to a database as a whole. */
export function databaseEntry(actor: Actor, action: string, target: string, after: object): AuditEntry {
  return {
    at: Date.now(),
    actorKind: actor.kind,
    actorId: actor.id,
    from: actor.from,
    action,
    target,
    before: "",
    after: JSON.stringify(after),
  };
}
