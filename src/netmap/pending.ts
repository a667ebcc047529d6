// Changes that wait for the next round, joined per node.
import type { Node, NodeField } from "../tailnet/model.ts";
import type { NodeId, UserId } from "../wire/ids.ts";
import { changed } from "./change-log.ts";
import type { NetmapCounters } from "./counters.ts";
import { peerHostinfo } from "./hostinfo.ts";

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
export const ownFields: ReadonlySet<NodeField> = new Set([
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
  if (fields.has("hostinfo") && before.hostinfo !== now.hostinfo) {
    const visible = JSON.stringify(peerHostinfo(before.hostinfo)) !== JSON.stringify(peerHostinfo(now.hostinfo));
    bits |= visible ? changed.body : 0;
  }
  return bits;
}

export interface PendingChanges {
  readonly nodes: ReadonlyMap<NodeId, number>;
  readonly users: ReadonlySet<UserId>;
  /** Peers that views have to be asked about; `everyone` when all. */
  readonly peers: ReadonlySet<NodeId>;
  readonly everyone: boolean;
}

export class Pending {
  readonly #counters: NetmapCounters;
  #nodes = new Map<NodeId, number>();
  #users = new Set<UserId>();
  #peers = new Set<NodeId>();
  #everyone = false;

  constructor(counters: NetmapCounters) {
    this.#counters = counters;
  }

  get empty(): boolean {
    return this.#nodes.size === 0 && this.#users.size === 0 && this.#peers.size === 0 && !this.#everyone;
  }

  node(id: NodeId, bits: number): void {
    const before = this.#nodes.get(id);
    if (before !== undefined) {
      this.#counters.merges++;
    }
    if (bits !== 0) {
      this.#nodes.set(id, (before ?? 0) | bits);
    }
  }

  user(id: UserId): void {
    this.#users.add(id);
  }

  /** Views have to be asked about this peer. */
  peer(id: NodeId): void {
    this.#peers.add(id);
  }

  /** Views have to be asked about everybody. */
  everybody(): void {
    this.#everyone = true;
  }

  take(): PendingChanges {
    const taken = { nodes: this.#nodes, users: this.#users, peers: this.#peers, everyone: this.#everyone };
    this.#nodes = new Map();
    this.#users = new Set();
    this.#peers = new Set();
    this.#everyone = false;
    return taken;
  }
}
