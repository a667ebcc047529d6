// The seam between an edge (sockets, Noise, HTTP/2) and the core (register, map, everything that knows the tailnet).
// Only messages cross it, so that an edge may live on another thread: requests and what became of streams go up,
// replies and map bytes come down. Calls are ordered in each direction; bytes are shared and never modified.
import type { MapEdge, SessionId } from "../netmap/contract.ts";
import type { MachineKey } from "../wire/ids.ts";

/** Unique per edge for the life of the server. */
export type RequestId = number & { readonly __request?: never };

/** A whole request of a node, its body complete and within the limit. */
export interface EdgeRequest {
  readonly id: RequestId;
  /** The Noise session's static key: the only proof of who asks. */
  readonly machineKey: MachineKey;
  /** Capability version of the Noise initiation. */
  readonly capVersion: number;
  /** Address of the client as far as it is known (behind trusted proxies, the forwarded one). */
  readonly source: string;
  readonly method: string;
  /** Path with query. */
  readonly path: string;
  readonly body: Uint8Array;
}

export interface EdgeReply {
  readonly status: number;
  readonly contentType: string;
  readonly body: Uint8Array;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** The machine key belongs to a node: its connection is no longer a stranger's. */
  readonly known: boolean;
}

/** What an edge tells the core. */
export interface EdgeEvents {
  request(request: EdgeRequest): void;
  /** The client gave the request up before it was answered; a reply is ignored from now on. */
  cancelled(id: RequestId): void;
  /** The session holds more unsent bytes than its bound … */
  blocked(session: SessionId): void;
  /** … and has room again. */
  drained(session: SessionId): void;
  /** The stream is over, whoever ended it. Comes once for each stream that was opened. */
  closed(session: SessionId): void;
}

/** What the core tells an edge. */
export interface EdgeLink extends MapEdge {
  reply(id: RequestId, reply: EdgeReply): void;
  /** Answers a request with an endless 200: its stream is the session from now on. */
  openStream(id: RequestId, session: SessionId): void;
}
