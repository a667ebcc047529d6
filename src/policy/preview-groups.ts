// Groups of nodes as a preview names them.
import { userLabel } from "./directory.ts";
import type { Entry } from "./entries.ts";

/** Nodes that are told apart by nothing that changes. */
export interface NodeGroup {
  /** Not the nodes themselves are meant but the networks that they route. */
  readonly behind: boolean;
  readonly count: number;
  /** The first few names. */
  readonly nodes: readonly string[];
  readonly users: readonly string[];
  readonly tags: readonly string[];
}

export interface AccessChange {
  readonly src: NodeGroup;
  readonly dst: NodeGroup;
  /** Only between devices of one and the same person. */
  readonly ownDevices: boolean;
  readonly gained: readonly string[];
  readonly lost: readonly string[];
}

/** Names listed of each kind. */
const maxNames = 12;

/** The nodes by the names people know. */
export function groupOf(entries: readonly Entry[], behind = false): NodeGroup {
  const users = new Set<string>();
  const tags = new Set<string>();
  for (const { identity } of entries) {
    if (identity.user !== undefined) {
      users.add(userLabel(identity.user));
    }
    identity.tags.forEach((tag) => tags.add(tag));
  }
  return {
    behind,
    count: entries.length,
    nodes: entries.slice(0, maxNames).map(({ node }) => node.name),
    users: [...users].sort().slice(0, maxNames),
    tags: [...tags].sort().slice(0, maxNames),
  };
}
