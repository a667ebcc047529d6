// What changed of which node, step by step, back to a horizon. A step is one round of telling sessions; a session's
// cursor is the last step it knows. Steps older than the horizon are forgotten: who is behind it starts over. Steps that
// nobody can ask for any more are forgotten earlier, when the owner says so.
//
// Kept twice, so that the question "what changed of these nodes since then" costs the smaller of the number of nodes
// and the number of changes: in the order of steps, and by node.
import type { NodeId, UserId } from "../wire/ids.ts";

/** What of a node changed, as far as its peers are told; a set of bits. */
export const changed = {
  /** Something that only the whole node says. */
  body: 1,
  key: 2,
  disco: 4,
  expiry: 8,
  capver: 16,
  endpoints: 32,
  derp: 64,
  online: 128,
} as const;

/** Bits that a patch says, but which make a client rebuild its netmap (protocol §4.5). */
export const dearPatch = changed.key | changed.disco | changed.expiry | changed.capver;
/** Bits that a client applies in place. */
export const cheapPatch = changed.endpoints | changed.derp | changed.online;

interface Step {
  readonly nodes: ReadonlyMap<NodeId, number>;
  readonly users: ReadonlySet<UserId>;
  /** Changes in all steps before this one, forgotten ones included. */
  readonly before: number;
}

/** At least what changed of the nodes asked for; maybe of others too. */
export interface Changes {
  readonly nodes: ReadonlyMap<NodeId, number>;
  readonly users: ReadonlySet<UserId>;
}

interface NodeChange {
  readonly step: number;
  readonly bits: number;
}

export class ChangeLog {
  /** Steps from `#forgotten` on are held; those before it are gone, and the array is cut now and then. */
  #steps: (Step | undefined)[] = [];
  #forgotten = 0;
  /** Number of the newest step. */
  #current = 0;
  /** Changes of all steps there ever were, and of those forgotten. */
  #total = 0;
  #gone = 0;
  readonly #byNode = new Map<NodeId, NodeChange[]>();
  readonly #maxEntries: () => number;

  /** `maxEntries`: bound of the changes held, nodes and users over all steps. */
  constructor(maxEntries: number | (() => number)) {
    this.#maxEntries = typeof maxEntries === "number" ? () => maxEntries : maxEntries;
  }

  get current(): number {
    return this.#current;
  }

  /** Changes of all steps there ever were. */
  get total(): number {
    return this.#total;
  }

  /** Of these, how many are held. */
  get held(): number {
    return this.#total - this.#gone;
  }

  /** The oldest cursor that can be brought up to date. */
  get horizon(): number {
    return this.#current - this.#steps.length + this.#forgotten;
  }

  /** Adds a step and returns its number. */
  append(nodes: ReadonlyMap<NodeId, number>, users: ReadonlySet<UserId>): number {
    this.#steps.push({ nodes, users, before: this.#total });
    this.#current++;
    this.#total += cost(nodes, users);
    for (const [id, bits] of nodes) {
      const history = this.#byNode.get(id);
      if (history === undefined) {
        this.#byNode.set(id, [{ step: this.#current, bits }]);
      } else {
        history.push({ step: this.#current, bits });
      }
    }
    const most = this.#maxEntries();
    while (this.#total - this.#gone > most && this.#forgotten < this.#steps.length) {
      this.#forgetOldest();
    }
    this.#cut();
    return this.#current;
  }

  /** Nobody has a cursor before this step, nor will have one. */
  forget(oldest: number): void {
    while (this.horizon < oldest && this.#forgotten < this.#steps.length) {
      this.#forgetOldest();
    }
    this.#cut();
  }

  #cut(): void {
    if (this.#forgotten > 64 && this.#forgotten * 2 > this.#steps.length) {
      this.#steps = this.#steps.slice(this.#forgotten);
      this.#forgotten = 0;
    }
  }

  #forgetOldest(): void {
    const oldest = this.#steps[this.#forgotten];
    this.#steps[this.#forgotten] = undefined;
    this.#forgotten++;
    if (oldest === undefined) {
      return;
    }
    this.#gone += cost(oldest.nodes, oldest.users);
    for (const id of oldest.nodes.keys()) {
      const history = this.#byNode.get(id);
      history?.shift();
      if (history?.length === 0) {
        this.#byNode.delete(id);
      }
    }
  }

  /** How much changed after step `since`, in about the number of nodes. */
  countSince(since: number): number {
    const first = this.#steps[this.#steps.length - (this.#current - since)];
    return first === undefined ? 0 : this.#total - first.before;
  }

  /** What changed after step `since` of these nodes; undefined behind the horizon. */
  since(since: number, ids: readonly NodeId[]): Changes | undefined {
    if (since < this.horizon) {
      return undefined;
    }
    const nodes = new Map<NodeId, number>();
    const users = new Set<UserId>();
    const byStep = this.countSince(since) <= ids.length;
    for (let index = this.#steps.length - (this.#current - since); index < this.#steps.length; index++) {
      const step = this.#steps[index];
      for (const id of step?.users ?? []) {
        users.add(id);
      }
      for (const [id, bits] of byStep && step !== undefined ? step.nodes : []) {
        nodes.set(id, (nodes.get(id) ?? 0) | bits);
      }
    }
    for (const id of byStep ? [] : ids) {
      const bits = this.#bitsSince(id, since);
      if (bits !== 0) {
        nodes.set(id, bits);
      }
    }
    return { nodes, users };
  }

  #bitsSince(id: NodeId, since: number): number {
    const history = this.#byNode.get(id);
    let bits = 0;
    for (let index = (history?.length ?? 0) - 1; index >= 0; index--) {
      const change = history?.[index];
      if (change === undefined || change.step <= since) {
        break;
      }
      bits |= change.bits;
    }
    return bits;
  }
}

/** Empty steps cost something too, or they would be kept for ever. */
function cost(nodes: ReadonlyMap<NodeId, number>, users: ReadonlySet<UserId>): number {
  return 1 + nodes.size + users.size;
}
