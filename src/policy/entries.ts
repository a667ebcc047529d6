// One node as the engine holds it: its identity, class, routes, the sources it is a member of. Made anew whenever the
// node or its owner changes; never modified.
import { isExitRoute, prefixOverlaps, type Addr, type Prefix } from "../ip/index.ts";
import { emptyBits, hasBit, setBit, type Bits } from "./bits.ts";
import { detachedClass, type ClassBook, type NodeClass } from "./classes.ts";
import type { PolicyNode } from "./engine.ts";
import type { Identity } from "./identities.ts";
import { tailnetSet } from "./networks.ts";
import { meetsPosture, type Attributes } from "./postures.ts";
import type { Program, Reach, Source } from "./program.ts";

export interface Entry {
  readonly node: PolicyNode;
  readonly identity: Identity;
  readonly cls: NodeClass;
  /** Sources whose text this node's own addresses are part of. */
  readonly sources: readonly number[];
  /** Approved routes other than exit routes. */
  readonly subnets: readonly Prefix[];
  readonly exit: boolean;
  /** Which postures of the policy the node meets, one character each. */
  readonly postures: string;
}

export function addressesOf(node: PolicyNode): readonly Addr[] {
  return node.ipv4 === null
    ? node.ipv6 === null
      ? []
      : [node.ipv6]
    : node.ipv6 === null
      ? [node.ipv4]
      : [node.ipv4, node.ipv6];
}

/** Does the source name this address itself, not by whose it is? */
export function namesAddress(source: Source, addr: Addr): boolean {
  return source.danger || (source.any && tailnetSet.contains(addr)) || source.addresses.contains(addr);
}

const noPrefixes: readonly Prefix[] = [];

/** Works out entries for one program. */
export class EntryMaker {
  readonly #program: Program;
  readonly #classes: ClassBook;
  readonly #postureIndex: ReadonlyMap<string, number>;
  /** Sources with postures that are not made of node sets alone. */
  readonly #postureSources: readonly Source[];
  /** Without postures: those for everybody, and those with addresses. */
  readonly #wideSources: readonly Source[];
  readonly #addressSources: readonly Source[];

  constructor(program: Program, classes: ClassBook) {
    this.#program = program;
    this.#classes = classes;
    this.#postureIndex = new Map(program.policy.postures.map((posture, index) => [posture.name, index]));
    this.#postureSources = program.sources.filter(
      (source) => source.postures.length > 0 && (source.any || source.danger || source.prefixes.length > 0),
    );
    const plain = program.sources.filter((source) => source.postures.length === 0);
    this.#wideSources = plain.filter((source) => source.any || source.danger);
    this.#addressSources = plain.filter((source) => source.prefixes.length > 0);
  }

  /** `detached`: the node is only thought of, and joins no class. */
  make(node: PolicyNode, identity: Identity, detached = false): Entry {
    const addresses = addressesOf(node);
    const exit = node.routes.some(isExitRoute);
    const subnets = node.routes.length === 0 ? noPrefixes : node.routes.filter((route) => !isExitRoute(route));
    const postures = this.posturesOf(node.posture);
    const members = this.#memberSources(identity, postures);
    const own = this.#ownSources(addresses, postures, members);
    const facts: Facts = {
      addresses,
      subnets,
      exit,
      identity,
      tailnet: addresses.some((addr) => tailnetSet.contains(addr)),
    };
    const cls = detached ? this.#detached(facts, own) : this.#classOf(facts, postures, own, own === members);
    return { node, identity, cls, sources: own, subnets, exit, postures };
  }

  posturesOf(attributes: Attributes): string {
    const { postures } = this.#program.policy;
    return postures.length === 0
      ? ""
      : postures.map((posture) => (meetsPosture(posture, attributes) ? "1" : "0")).join("");
  }

  /** May a node that meets these postures be counted among the source? */
  #admits(source: Source, postures: string): boolean {
    return (
      source.postures.length === 0 ||
      source.postures.some((posture) => postures[this.#postureIndex.get(posture.name) ?? -1] === "1")
    );
  }

  /** Sources that the identity is a member of through node sets. */
  #memberSources(identity: Identity, postures: string): readonly number[] {
    let found = identity.sourcesByPosture.get(postures);
    if (found === undefined) {
      const ids = new Set(identity.sets.flatMap((set) => this.#program.sourcesOfSet[set] ?? []));
      found = [...ids].filter((id) => {
        const source = this.#program.sources[id];
        return source !== undefined && this.#admits(source, postures);
      });
      identity.sourcesByPosture.set(postures, found);
    }
    return found;
  }

  /** Besides: sources with a posture are made of the nodes that meet it, also where they are given by addresses. */
  #ownSources(addresses: readonly Addr[], postures: string, members: readonly number[]): readonly number[] {
    const more = this.#postureSources.filter(
      (source) =>
        !members.includes(source.id) &&
        this.#admits(source, postures) &&
        addresses.some((addr) => namesAddress(source, addr)),
    );
    return more.length === 0 ? members : [...members, ...more.map(({ id }) => id)];
  }

  #classOf(facts: Facts, postures: string, own: readonly number[], plainSources: boolean): NodeClass {
    const hits = this.#hits(facts.addresses);
    const plain =
      plainSources && facts.subnets.length === 0 && !facts.exit && hits.sources.size + hits.reaches.size === 0;
    const plainKey = `${postures}${facts.tailnet ? "+" : "-"}`;
    const known = plain ? facts.identity.plainClasses.get(plainKey) : undefined;
    if (known !== undefined && !known.dropped) {
      return known;
    }
    const cls = this.#classes.of(
      this.#sourceBits(facts, own, hits.sources),
      this.#destinationBits(facts, hits.reaches),
    );
    if (plain) {
      facts.identity.plainClasses.set(plainKey, cls);
    }
    return cls;
  }

  #detached(facts: Facts, own: readonly number[]): NodeClass {
    const { sources, reaches } = this.#hits(facts.addresses);
    return detachedClass(this.#sourceBits(facts, own, sources), this.#destinationBits(facts, reaches));
  }

  /** The reaches with the node itself as source, and those with the networks behind it. */
  splitSource(entry: Entry): { readonly own: Bits; readonly behind: Bits } {
    const addresses = addressesOf(entry.node);
    const tailnet = addresses.some((addr) => tailnetSet.contains(addr));
    const facts = { exit: false, identity: entry.identity };
    return {
      own: this.#sourceBits(
        { ...facts, addresses, subnets: [], tailnet },
        entry.sources,
        this.#hits(addresses).sources,
      ),
      behind: this.#sourceBits({ ...facts, addresses: [], subnets: entry.subnets, tailnet: false }, [], new Set()),
    };
  }

  /** Sources and reaches that name one of the addresses. */
  #hits(addresses: readonly Addr[]): { readonly sources: ReadonlySet<number>; readonly reaches: ReadonlySet<number> } {
    const sources = new Set<number>();
    const reaches = new Set<number>();
    for (const addr of addresses) {
      this.#program.sourcePrefixes.forAddress(addr, (id) => sources.add(id));
      this.#program.reachPrefixes.forAddress(addr, (id) => reaches.add(id));
    }
    return { sources, reaches };
  }

  /** The reaches with such a node, or what lies behind it, as source. */
  #sourceBits(facts: Facts, own: readonly number[], addressHits: ReadonlySet<number>): Bits {
    const program = this.#program;
    const bits = emptyBits(program.reaches.length);
    const take = (id: number): void => {
      program.reachesOfSource[id]?.forEach((reach) => setBit(bits, reach));
    };
    own.forEach(take);
    addressHits.forEach((id) => {
      if (program.sources[id]?.postures.length === 0) {
        take(id);
      }
    });
    for (const source of this.#wideSources) {
      if (source.danger || facts.tailnet || facts.subnets.length > 0) {
        take(source.id);
      }
    }
    if (facts.subnets.length > 0) {
      for (const source of this.#addressSources) {
        if (facts.subnets.some((route) => source.addresses.overlaps(route))) {
          take(source.id);
        }
      }
    }
    return bits;
  }

  /** The reaches with such a node, or what lies behind it, as destination. */
  #destinationBits(facts: Facts, addressHits: ReadonlySet<number>): Bits {
    const program = this.#program;
    const bits = program.anyReaches.slice();
    for (const set of facts.identity.sets) {
      program.reachesOfSet[set]?.forEach((reach) => setBit(bits, reach));
    }
    addressHits.forEach((reach) => setBit(bits, reach));
    for (const route of facts.subnets) {
      program.reachPrefixes.forOverlaps(route, (reach) => setBit(bits, reach));
    }
    if (facts.exit) {
      for (const { id } of program.reaches) {
        if (hasBit(program.exitReaches, id)) {
          setBit(bits, id);
        }
      }
    }
    for (const reach of program.viaReaches) {
      if (steersThrough(reach, facts)) {
        setBit(bits, reach.id);
      }
    }
    return bits;
  }
}

/** What decides a node's class. */
export interface Facts {
  readonly addresses: readonly Addr[];
  readonly subnets: readonly Prefix[];
  readonly exit: boolean;
  readonly identity: Identity;
  /** Has an address of the tailnet's own ranges. */
  readonly tailnet: boolean;
}

/** Does a steered rule open a way through a node with these tags and routes? */
export function steersThrough(reach: Reach, facts: Pick<Facts, "subnets" | "exit" | "identity">): boolean {
  if (!reach.via.some((tag) => facts.identity.tags.includes(tag))) {
    return false;
  }
  return (facts.exit && reach.exit) || facts.subnets.some((route) => steersRoute(reach, route));
}

/** Is the route among what a steered rule leads to? */
export function steersRoute(reach: Reach, route: Prefix): boolean {
  return reach.any || reach.prefixes.some((prefix) => prefixOverlaps(prefix, route));
}
