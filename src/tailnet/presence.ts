// What nodes tell of themselves and what the clock does to them: applied at once, written behind. Sessions are counted;
// a node stays online for a grace after its last one, so that a reconnect is no event for anybody.
import type { NodeId } from "../wire/ids.ts";
import { adoptPatch } from "./adopt.ts";
import type { PresencePatch, TailnetPresence } from "./contract.ts";
import { makeNode, presenceOf } from "./derive.ts";
import type { Change, Node } from "./model.ts";
import type { TailnetOptions } from "./options.ts";
import { isExpired, type Settler } from "./settle.ts";
import type { TailnetState } from "./state.ts";

export interface PresenceHooks {
  /** The hostname or the advertised routes changed: names and approvals may follow. */
  followHostinfo(id: NodeId): void;
  /** An ephemeral node's time is up: resolves to false when it could not be deleted. */
  ephemeralGone(id: NodeId): Promise<boolean>;
}

/** Milliseconds between two writes of what changed. */
const writeBehind = 2_000;
/**
 * A new hostname or new routes may become a commit, a line of the audit log and news for everybody. A node that keeps
 * changing them gets so many at once and then one in so many milliseconds, of what it says by then.
 */
const followBurst = 20;
const followEvery = 10_000;

export class Presences implements TailnetPresence {
  readonly #state: TailnetState;
  readonly #settler: Settler;
  readonly #options: TailnetOptions;
  readonly #hooks: PresenceHooks;
  readonly #sessions = new Map<NodeId, number>();
  /** When a node without sessions goes offline; in the order of time. */
  readonly #offlineAt = new Map<NodeId, number>();
  /** When an ephemeral node without sessions is deleted; in the order of time. */
  readonly #goneAt = new Map<NodeId, number>();
  /** Whose expiry has passed and was told. */
  readonly #expired = new Set<NodeId>();
  /** No node's expiry passes before this. */
  #nextExpiry = Number.POSITIVE_INFINITY;
  /** When a node's changes of name and routes will all have been paid for, and whose wait for that. */
  readonly #followPaidAt = new Map<NodeId, number>();
  readonly #toFollow = new Set<NodeId>();
  #dirty = new Set<NodeId>();
  #lastWrite: number;
  #writing: Promise<void> | undefined;

  constructor(state: TailnetState, settler: Settler, options: TailnetOptions, hooks: PresenceHooks) {
    this.#state = state;
    this.#settler = settler;
    this.#options = options;
    this.#hooks = hooks;
    this.#lastWrite = options.now();
    const now = options.now();
    for (const node of state.nodes.values()) {
      this.#watch(node, now);
    }
    settler.subscribe((batch) => this.#follow(batch.changes));
  }

  updatePresence(id: NodeId, patch: PresencePatch): void {
    if (this.adopt(id, patch)) {
      this.#settler.settle();
    }
  }

  /** As updatePresence, inside a batch that somebody else ends; false when nothing changed. */
  adopt(id: NodeId, patch: PresencePatch): boolean {
    const node = this.#state.nodes.get(id);
    if (node === undefined) {
      return false;
    }
    const before = presenceOf(node);
    const after = adoptPatch(before, patch);
    if (after === before) {
      return false;
    }
    const next = makeNode(node, { ...after, lastSeen: this.#options.now() }, node);
    this.#state.replaceNode(next);
    this.#dirty.add(id);
    if (next.hostinfo.Hostname !== node.hostinfo.Hostname || next.advertised !== node.advertised) {
      this.#followHostinfo(id);
    }
    return true;
  }

  /** The store holds something else than memory, which knows better: it is written anew. */
  storedOtherwise(id: NodeId): void {
    this.#dirty.add(id);
  }

  #followHostinfo(id: NodeId): void {
    const now = this.#options.now();
    const paidAt = Math.max(now, this.#followPaidAt.get(id) ?? now);
    if (paidAt - now > (followBurst - 1) * followEvery) {
      this.#toFollow.add(id);
      return;
    }
    this.#followPaidAt.set(id, paidAt + followEvery);
    this.#toFollow.delete(id);
    this.#hooks.followHostinfo(id);
  }

  sessionOpened(id: NodeId): void {
    const node = this.#state.nodes.get(id);
    if (node === undefined) {
      return;
    }
    this.#sessions.set(id, (this.#sessions.get(id) ?? 0) + 1);
    this.#offlineAt.delete(id);
    this.#goneAt.delete(id);
    const healed = this.#settler.unhealthy.delete(id);
    if (!node.online || healed) {
      this.#state.elections.reconsider(node.routes);
      this.#state.replaceNode({ ...node, online: true, lastSeen: this.#options.now() });
      this.#dirty.add(id);
      this.#settler.settle();
    }
  }

  sessionClosed(id: NodeId): void {
    const open = this.#sessions.get(id) ?? 0;
    const node = this.#state.nodes.get(id);
    if (open > 1) {
      this.#sessions.set(id, open - 1);
      return;
    }
    this.#sessions.delete(id);
    if (open === 0 || node === undefined) {
      return;
    }
    const now = this.#options.now();
    this.#state.replaceNode({ ...node, lastSeen: now });
    this.#dirty.add(id);
    this.#offlineAt.set(id, now + this.#options.offlineGrace);
    if (node.ephemeral) {
      this.#goneAt.set(id, now + this.#options.ephemeralTimeout);
    }
  }

  hasSession(id: NodeId): boolean {
    return this.#sessions.has(id);
  }

  setRouteHealth(id: NodeId, healthy: boolean): void {
    const node = this.#state.nodes.get(id);
    const { unhealthy } = this.#settler;
    if (node === undefined || unhealthy.has(id) === !healthy) {
      return;
    }
    if (healthy) {
      unhealthy.delete(id);
    } else {
      unhealthy.add(id);
    }
    this.#state.elections.reconsider(node.routes);
    this.#settler.settle();
  }

  /** A node was registered: an ephemeral one without a session is on the clock from now. */
  registered(id: NodeId): void {
    const node = this.#state.nodes.get(id);
    if (node !== undefined) {
      this.#watch(node, this.#options.now());
    }
  }

  tick(): void {
    const now = this.#options.now();
    this.#passExpiries(now);
    this.#goOffline(now);
    this.#settler.settle();
    for (const id of this.#toFollow) {
      this.#followHostinfo(id);
    }
    for (const [id, at] of this.#goneAt) {
      if (at > now) {
        break;
      }
      this.#goneAt.delete(id);
      void this.#hooks.ephemeralGone(id).then((done) => (done ? undefined : this.registered(id)));
    }
    if (this.#dirty.size > 0 && now - this.#lastWrite >= writeBehind) {
      this.#write(now);
    }
  }

  /** Writes all that is not written yet. */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.#dirty.size > 0) {
      this.#write(this.#options.now());
      await this.#writing;
    }
  }

  #goOffline(now: number): void {
    for (const [id, at] of this.#offlineAt) {
      if (at > now) {
        break;
      }
      this.#offlineAt.delete(id);
      const node = this.#state.nodes.get(id);
      if (node !== undefined) {
        this.#state.elections.reconsider(node.routes);
        this.#state.replaceNode({ ...node, online: false });
      }
    }
  }

  #passExpiries(now: number): void {
    if (now < this.#nextExpiry) {
      return;
    }
    this.#nextExpiry = Number.POSITIVE_INFINITY;
    for (const node of this.#state.nodes.values()) {
      if (isExpired(node, now) && !this.#expired.has(node.id)) {
        this.#expired.add(node.id);
        this.#state.touched.passed.add(node.id);
        this.#state.elections.reconsider(node.routes);
      }
      this.#noteExpiry(node, now);
    }
  }

  #noteExpiry(node: Node, now: number): void {
    if (node.expiry !== null && node.expiry > now && node.expiry < this.#nextExpiry) {
      this.#nextExpiry = node.expiry;
    }
  }

  /** A node that is new here: loaded, registered or renewed. */
  #watch(node: Node, now: number): void {
    if (isExpired(node, now)) {
      this.#expired.add(node.id);
    } else {
      this.#expired.delete(node.id);
    }
    this.#noteExpiry(node, now);
    if (node.ephemeral && !this.#sessions.has(node.id)) {
      this.#goneAt.delete(node.id);
      this.#goneAt.set(node.id, now + this.#options.ephemeralTimeout);
    }
  }

  #follow(changes: readonly Change[]): void {
    const now = this.#options.now();
    for (const change of changes) {
      if (change.kind === "node-removed") {
        this.#forget(change.id);
        continue;
      }
      const node =
        change.kind === "node-changed" && change.fields.has("expiry") ? this.#state.nodes.get(change.id) : undefined;
      if (node !== undefined) {
        if (isExpired(node, now)) {
          this.#expired.add(node.id);
        } else {
          this.#expired.delete(node.id);
        }
        this.#noteExpiry(node, now);
      }
    }
  }

  #forget(id: NodeId): void {
    this.#sessions.delete(id);
    this.#offlineAt.delete(id);
    this.#goneAt.delete(id);
    this.#expired.delete(id);
    this.#dirty.delete(id);
    this.#followPaidAt.delete(id);
    this.#toFollow.delete(id);
    this.#settler.unhealthy.delete(id);
  }

  #write(now: number): void {
    if (this.#writing !== undefined) {
      return;
    }
    this.#lastWrite = now;
    const ids = this.#dirty;
    this.#dirty = new Set();
    const rows = [...ids].flatMap((id) => {
      const node = this.#state.nodes.get(id);
      return node === undefined ? [] : { id, presence: presenceOf(node) };
    });
    this.#writing = this.#options.store
      .savePresence(rows)
      .catch((error: unknown) => {
        this.#options.warn?.(`presence was not written: ${error instanceof Error ? error.message : String(error)}`);
        for (const id of ids) {
          this.#dirty.add(id);
        }
      })
      .finally(() => {
        this.#writing = undefined;
      });
  }
}
