// What changed of which node, step by step, back to a horizon. A step is one round of telling sessions; a session's
// cursor is the last step it knows. Steps older than the horizon are forgotten: who is behind it starts over.
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
}

export interface Changes {
  readonly nodes: ReadonlyMap<NodeId, number>;
  readonly users: ReadonlySet<UserId>;
}

interface Union {
  readonly nodes: Map<NodeId, number>;
  readonly users: Set<UserId>;
}

/** How many unions are kept from one step to the next; more only cost time. */
const maxUnions = 16;

export class ChangeLog {
  /** Steps from `#forgotten` on are held; those before it are gone, and the array is cut now and then. */
  #steps: (Step | undefined)[] = [];
  #forgotten = 0;
  /** Number of the newest step. */
  #current = 0;
  #entries = 0;
  readonly #maxEntries: number;
  /** What changed since a step, carried forward because those who ask often ask again after the next step. */
  readonly #unions = new Map<number, Union>();

  /** `maxEntries`: bound of the changes held, nodes and users over all steps. */
  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  get current(): number {
    return this.#current;
  }

  /** The oldest cursor that can be brought up to date. */
  get horizon(): number {
    return this.#current - this.#steps.length + this.#forgotten;
  }

  /** Adds a step and returns its number. */
  append(nodes: ReadonlyMap<NodeId, number>, users: ReadonlySet<UserId>): number {
    this.#steps.push({ nodes, users });
    this.#current++;
    this.#entries += cost(nodes, users);
    while (this.#entries > this.#maxEntries && this.#forgotten < this.#steps.length) {
      const oldest = this.#steps[this.#forgotten];
      this.#entries -= oldest === undefined ? 0 : cost(oldest.nodes, oldest.users);
      this.#steps[this.#forgotten] = undefined;
      this.#forgotten++;
    }
    if (this.#forgotten > 64 && this.#forgotten * 2 > this.#steps.length) {
      this.#steps = this.#steps.slice(this.#forgotten);
      this.#forgotten = 0;
    }
    for (const [since, union] of this.#unions) {
      if (since < this.horizon) {
        this.#unions.delete(since);
      } else {
        join(union, { nodes, users });
      }
    }
    return this.#current;
  }

  /** Everything that changed after step `since`; undefined behind the horizon. */
  since(since: number): Changes | undefined {
    if (since < this.horizon) {
      return undefined;
    }
    let union = this.#unions.get(since);
    this.#unions.delete(since);
    if (union === undefined) {
      union = { nodes: new Map(), users: new Set() };
      for (let index = this.#steps.length - (this.#current - since); index < this.#steps.length; index++) {
        const step = this.#steps[index];
        if (step !== undefined) {
          join(union, step);
        }
      }
    }
    // Asked for last stands last, so the first is the one to let go.
    this.#unions.set(since, union);
    const first = this.#unions.keys().next();
    if (this.#unions.size > maxUnions && first.done !== true) {
      this.#unions.delete(first.value);
    }
    return union;
  }
}

/** Empty steps cost something too, or they would be kept for ever. */
function cost(nodes: ReadonlyMap<NodeId, number>, users: ReadonlySet<UserId>): number {
  return 1 + nodes.size + users.size;
}

function join(union: Union, step: Step): void {
  for (const [id, bits] of step.nodes) {
    union.nodes.set(id, (union.nodes.get(id) ?? 0) | bits);
  }
  for (const id of step.users) {
    union.users.add(id);
  }
}
