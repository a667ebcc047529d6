// What a node is to the policy by its owner and tags alone: the node sets it belongs to. All nodes of one user, and all
// nodes with the same tags, share one identity, so that membership is worked out once per identity and not per node.
import type { UserId } from "../wire/ids.ts";
import { domainOf, type Directory } from "./directory.ts";
import type { PolicyUser } from "./engine.ts";
import type { Entry } from "./entries.ts";
import type { NodeClass } from "./classes.ts";
import type { Program } from "./program.ts";
import { nodeSetKey, type NodeSet } from "./selectors.ts";

export interface Identity {
  /** Undefined for tagged nodes, and for nodes of a user we do not know. */
  readonly user: PolicyUser | undefined;
  readonly tags: readonly string[];
  /** Ids of the node sets of the program that hold these nodes. */
  readonly sets: readonly number[];
  readonly entries: Set<Entry>;
  /** Sources by what postures are met, and the class of nodes without routes or addresses named in the policy. */
  readonly sourcesByPosture: Map<string, readonly number[]>;
  readonly plainClasses: Map<string, NodeClass>;
}

export class IdentityBook {
  readonly #program: Program;
  readonly #directory: Directory;
  readonly #byUser = new Map<UserId, Identity>();
  readonly #byTags = new Map<string, Identity>();
  readonly #bySet = new Map<number, Set<Identity>>();

  constructor(program: Program, directory: Directory) {
    this.#program = program;
    this.#directory = directory;
  }

  of(user: UserId | null, tags: readonly string[]): Identity {
    return tags.length > 0 || user === null ? this.#ofTags(tags) : this.#ofUser(user);
  }

  #ofTags(tags: readonly string[]): Identity {
    const key = tags.join(" ");
    let identity = this.#byTags.get(key);
    if (identity === undefined) {
      identity = this.#make(undefined, tags);
      this.#byTags.set(key, identity);
    }
    return identity;
  }

  #ofUser(id: UserId): Identity {
    let identity = this.#byUser.get(id);
    if (identity === undefined) {
      identity = this.#make(this.#directory.user(id), []);
      this.#byUser.set(id, identity);
    }
    return identity;
  }

  /** After the user changed: takes the old identity out and gives it back, so that its nodes can be looked at again. */
  forget(id: UserId): Identity | undefined {
    const identity = this.#byUser.get(id);
    this.#byUser.delete(id);
    if (identity !== undefined) {
      this.#unlist(identity);
    }
    return identity;
  }

  #make(user: PolicyUser | undefined, tags: readonly string[]): Identity {
    const identity: Identity = {
      user,
      tags,
      sets: setsOf(this.#program, this.#directory, user, tags),
      entries: new Set(),
      sourcesByPosture: new Map(),
      plainClasses: new Map(),
    };
    for (const set of identity.sets) {
      const found = this.#bySet.get(set);
      if (found === undefined) {
        this.#bySet.set(set, new Set([identity]));
      } else {
        found.add(identity);
      }
    }
    return identity;
  }

  #unlist(identity: Identity): void {
    for (const set of identity.sets) {
      this.#bySet.get(set)?.delete(identity);
    }
  }

  /** The nodes in any of these node sets, each once. */
  *entriesIn(sets: readonly number[]): Generator<Entry> {
    const seen = new Set<Identity>();
    for (const set of sets) {
      for (const identity of this.#bySet.get(set) ?? []) {
        if (!seen.has(identity)) {
          seen.add(identity);
          yield* identity.entries;
        }
      }
    }
  }

  /** Drops identities that no node has any more. */
  prune(): void {
    for (const [key, identity] of this.#byTags) {
      if (identity.entries.size === 0) {
        this.#byTags.delete(key);
        this.#unlist(identity);
      }
    }
  }

  get tagIdentities(): number {
    return this.#byTags.size;
  }

  /** The nodes that belong to this user and are not tagged. */
  entriesOfUser(id: UserId): ReadonlySet<Entry> {
    return this.#byUser.get(id)?.entries ?? noEntries;
  }
}

const noEntries: ReadonlySet<Entry> = new Set();

/** Which node sets hold nodes of this user, or with these tags. Ascending. */
export function setsOf(
  program: Program,
  directory: Directory,
  user: PolicyUser | undefined,
  tags: readonly string[],
): readonly number[] {
  const found: number[] = [];
  const add = (set: NodeSet): void => {
    const id = program.nodeSetIds.get(nodeSetKey(set));
    if (id !== undefined) {
      found.push(id);
    }
  };
  forSetsOf(directory, user, tags, add);
  return found.sort((a, b) => a - b);
}

/** Calls back for every node set the language has for such a node. */
export function forSetsOf(
  directory: Directory,
  user: PolicyUser | undefined,
  tags: readonly string[],
  add: (set: NodeSet) => void,
): void {
  if (tags.length > 0) {
    add({ kind: "tagged" });
    new Set(tags).forEach((name) => add({ kind: "tag", name }));
    return;
  }
  if (user === undefined) {
    return;
  }
  add({ kind: "member" });
  if (user.role !== "member") {
    add({ kind: "role", role: user.role });
  }
  directory.tokensOf(user).forEach((token) => add({ kind: "user", token }));
  directory.groupsOf(user).forEach((name) => add({ kind: "group", name }));
  const domain = domainOf(user);
  if (domain !== undefined) {
    add({ kind: "domain", domain });
  }
}
