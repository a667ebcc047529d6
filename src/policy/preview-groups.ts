// Groups of nodes as a preview names them.
import { userLabel } from "./directory.ts";
import type { Entry } from "./entries.ts";
import type { Identity } from "./identities.ts";

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
  for (const identity of new Set(entries.map((entry) => entry.identity))) {
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

/** A part of a group that is named often: its labels by number. */
interface NamedPart {
  readonly entries: readonly Entry[];
  readonly labels: ReadonlySet<number>;
}

const noLabels: readonly number[] = [];

/** Users and tags as numbers in the order of their names, so that the first names of many nodes are found without sorting. */
export class Names {
  readonly #users: readonly string[];
  readonly #tags: readonly string[];
  readonly #labels = new Map<Identity, readonly number[]>();

  constructor(entries: Iterable<Entry>) {
    const identities = new Set<Identity>();
    for (const { identity } of entries) {
      identities.add(identity);
    }
    const users = new Set<string>();
    const tags = new Set<string>();
    for (const { user, tags: own } of identities) {
      if (user !== undefined) {
        users.add(userLabel(user));
      }
      own.forEach((tag) => tags.add(tag));
    }
    this.#users = [...users].sort();
    this.#tags = [...tags].sort();
    const userNumbers = new Map(this.#users.map((name, at) => [name, at]));
    const tagNumbers = new Map(this.#tags.map((name, at) => [name, this.#users.length + at]));
    for (const identity of identities) {
      const user = identity.user === undefined ? undefined : userNumbers.get(userLabel(identity.user));
      this.#labels.set(identity, [
        ...(user === undefined ? [] : [user]),
        ...identity.tags.flatMap((tag) => tagNumbers.get(tag) ?? []),
      ]);
    }
  }

  labelsOf(identity: Identity): readonly number[] {
    return this.#labels.get(identity) ?? noLabels;
  }

  groupOf(parts: readonly NamedPart[], behind = false): NodeGroup {
    const labels = new Uint8Array(this.#users.length + this.#tags.length);
    const nodes: string[] = [];
    let count = 0;
    for (const part of parts) {
      count += part.entries.length;
      for (let i = 0; i < part.entries.length && nodes.length < maxNames; i++) {
        nodes.push(part.entries[i]?.node.name ?? "");
      }
      for (const label of part.labels) {
        labels[label] = 1;
      }
    }
    return {
      behind,
      count,
      nodes,
      users: this.#users.filter((_, at) => labels[at] === 1).slice(0, maxNames),
      tags: this.#tags.filter((_, at) => labels[this.#users.length + at] === 1).slice(0, maxNames),
    };
  }
}
