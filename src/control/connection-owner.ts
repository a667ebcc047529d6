// What a connection tells whoever owns it: requests that are whole, sessions that end or fall behind, when to write.
import type { SessionId } from "../netmap/contract.ts";
import type { RequestHead } from "../wire/h2-server.ts";
import type { BodyBudget } from "./body-buffer.ts";
import type { Connection } from "./connection.ts";

export interface ConnectionOwner {
  request(connection: Connection, stream: number, head: RequestHead, body: Uint8Array): void;
  /** The client took back a request that was handed up, or its connection ended. */
  streamGone(connection: Connection, stream: number): void;
  sessionGone(session: SessionId): void;
  blocked(session: SessionId): void;
  drained(session: SessionId): void;
  /** The client left more unread than it may; the connection is to be destroyed. */
  overflowed(connection: Connection): void;
  /** A stranger asks more often than it may; the connection is to be destroyed. */
  flooded(connection: Connection): void;
  /** There is something to write; `flush` is to be called soon. */
  dirty(connection: Connection): void;
  /** There is something to write that may wait some milliseconds for what follows it. */
  patient(connection: Connection): void;
  closed(connection: Connection): void;
  /** Who pays for the memory of a request's body. */
  bodyBudget(connection: Connection): BodyBudget;
}
