// Changes that wait for the next round, joined per node.
import type { Node, NodeField } from "../tailnet/model.ts";
import type { NodeId, UserId } from "../wire/ids.ts";
import { changed } from "./change-log.ts";
import type { NetmapCounters } from "./counters.ts";
import { peerHostinfo, selfHostinfo } from "./hostinfo.ts";

/**
 * What of a peer changes with each field. Routes alone show in what the policy shares, which is compared by itself;
 * hostinfo shows only in the part that peers are told.
 */
const bitsOf: Readonly<Record<NodeField, number>> = {
  key: changed.key,
  disco: changed.disco,
  endpoints: changed.endpoints,
  derp: changed.derp,
  online: changed.online,
  expiry: changed.expiry,
  name: changed.body,
  addresses: changed.body,
  owner: changed.body,
  tags: changed.body,
  routes: 0,
  primary: changed.body,
  hostinfo: 0,
  capver: changed.capver,
};

/** Fields of its own record that a session is told; the rest it knows better itself. */
const ownFields: ReadonlySet<NodeField> = new Set([
  "key",
  "expiry",
  "name",
  "addresses",
  "owner",
  "tags",
  "routes",
  "primary",
]);

export function peerBits(before: Node, now: Node, fields: ReadonlySet<NodeField>): number {
  let bits = 0;
  for (const field of fields) {
    bits |= bitsOf[field];
  }
  if (!now.online && before.lastSeen !== now.lastSeen) {
    bits |= changed.online;
  }
  if (fields.has("hostinfo") && before.hostinfo !== now.hostinfo) {
    const visible = JSON.stringify(peerHostinfo(before.hostinfo)) !== JSON.stringify(peerHostinfo(now.hostinfo));
    bits |= visible ? changed.body : 0;
  }
  return bits;
}

/** Does a session have to be told its own record again? */
export function changesOwnRecord(before: Node, now: Node, fields: ReadonlySet<NodeField>): boolean {
  for (const field of fields) {
    if (ownFields.has(field)) {
      return true;
    }
  }
  return (
    fields.has("hostinfo") &&
    before.hostinfo !== now.hostinfo &&
    JSON.stringify(selfHostinfo(before.hostinfo)) !== JSON.stringify(selfHostinfo(now.hostinfo))
  );
}

export interface PendingChanges {
  readonly nodes: ReadonlyMap<NodeId, number>;
  readonly users: ReadonlySet<UserId>;
  /** Peers that views have to be asked about. */
  readonly peers: ReadonlySet<NodeId>;
  /** Views have to be asked about all of them. */
  readonly everyone: boolean;
}

/**
 * A node that has just registered opens its stream and says where it can be reached within a few round trips. Telling
 * of it before would cost every peer a second and a third message, so it is held back for at most so long, ms.
 */
export const maxHold = 300;

/** Has the node said all that its peers need? */
function isComplete(node: Node): boolean {
  return node.online && node.discoKey !== null && node.endpoints.length > 0 && node.homeDerp > 0;
}

export class Pending {
  readonly #counters: NetmapCounters;
  #nodes = new Map<NodeId, number>();
  #users = new Set<UserId>();
  #peers = new Set<NodeId>();
  #everyone = false;
  #ready = false;
  /** New nodes that are not told of yet, and until when. */
  readonly #held = new Map<NodeId, number>();

  constructor(counters: NetmapCounters) {
    this.#counters = counters;
  }

  /** Nothing waits to be told, apart from new nodes that are held back. */
  get empty(): boolean {
    return !this.#ready;
  }

  node(id: NodeId, bits: number): void {
    const before = this.#nodes.get(id);
    if (before !== undefined) {
      this.#counters.merges++;
    }
    if (bits !== 0) {
      this.#nodes.set(id, (before ?? 0) | bits);
      this.#ready ||= !this.#held.has(id);
    }
  }

  user(id: UserId): void {
    this.#users.add(id);
    this.#ready = true;
  }

  /** Views have to be asked about this peer. */
  peer(id: NodeId): void {
    this.#peers.add(id);
    this.#ready ||= !this.#held.has(id);
  }

  /** Views have to be asked about everybody. */
  everybody(): void {
    this.#everyone = true;
    this.#ready = true;
  }

  /** A node was added: true when it is held back until it is complete, or `until`. */
  hold(node: Node, until: number): boolean {
    this.#peers.add(node.id);
    if (isComplete(node)) {
      this.#ready = true;
      return false;
    }
    this.#held.set(node.id, until);
    return true;
  }

  /** The node changed, or is gone, or its time is up: it is held no longer if that is reason enough. */
  release(id: NodeId, node: Node | undefined, now: number): void {
    const until = this.#held.get(id);
    if (until !== undefined && (node === undefined || isComplete(node) || now >= until)) {
      this.#held.delete(id);
      this.#ready = true;
    }
  }

  take(): PendingChanges {
    const taken = { nodes: this.#nodes, users: this.#users, peers: this.#peers, everyone: this.#everyone };
    this.#nodes = new Map();
    this.#users = new Set();
    this.#peers = new Set();
    this.#everyone = false;
    this.#ready = false;
    for (const id of this.#held.keys()) {
      const bits = taken.nodes.get(id);
      if (bits !== undefined) {
        this.#nodes.set(id, bits);
        taken.nodes.delete(id);
      }
      if (taken.peers.delete(id)) {
        this.#peers.add(id);
      }
    }
    return taken;
  }
}
