// One open map stream as netmap sees it: what it knows, as a cursor, and what has to be looked at again for it.
import type { NodeId } from "../wire/ids.ts";
import type { MapStreamOptions, SessionId } from "./contract.ts";
import type { Compression } from "./message.ts";
import type { PendingChanges } from "./pending.ts";
import type { Snapshot } from "./snapshot.ts";
import type { View } from "./view.ts";

/** The sessions that have one view, and the view's blocks once somebody needed them. */
export interface Audience {
  readonly view: View;
  /** What the view has not been asked about since the newest step; it is when somebody needs it. */
  due: PendingChanges | undefined;
  readonly sessions: Set<Session>;
  snapshot: Snapshot | undefined;
}

/** What of a session's own may have changed since it was told; a set of bits. */
export const own = {
  /** Its node's record: name, addresses, owner, tags, routes, expiry. */
  record: 1,
  /** What the policy says of its node: filter, ssh rules, attributes, view. */
  policy: 2,
  dns: 4,
  derp: 8,
  /** The profile of its owner. */
  user: 16,
} as const;

export interface Session {
  readonly id: SessionId;
  readonly node: NodeId;
  readonly capVersion: number;
  readonly compression: Compression;
  readonly omitPeers: boolean;
  /** Where its peers come from; null when it is told of none (not asked for, or its key expired). */
  audience: Audience | null;
  /** The last step it knows. While it is not blocked, and no round is under way, that is the newest. */
  cursor: number;
  /** Bits of `own`. */
  stale: number;
  expired: boolean;
  blocked: boolean;
  closed: boolean;
  /** What it was last told, as texts that sessions share. */
  filter: string;
  ssh: string;
  dns: string;
  derp: string;
  caps: string;
  /** When something was last sent, ms. */
  lastSent: number;
  /** Where its silence is watched. */
  slot: number;
  /** Pings that wait for the socket to drain. */
  pings: string[];
}

/** A session that was told nothing yet. */
export function newSession(id: SessionId, options: MapStreamOptions): Session {
  return {
    id,
    node: options.node,
    capVersion: options.capVersion,
    compression: options.compress,
    omitPeers: options.omitPeers,
    audience: null,
    cursor: 0,
    stale: 0,
    expired: false,
    blocked: false,
    closed: false,
    filter: "",
    ssh: "",
    dns: "",
    derp: "",
    caps: "",
    lastSent: 0,
    slot: 0,
    pings: [],
  };
}
