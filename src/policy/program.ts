// A checked policy laid out for evaluation: every distinct set of sources once, every rule as a "reach" (who may reach
// what, one bit each), the lines of the packet filter in their order, and indexes from node sets and prefixes to both.
// Depends on the text alone; users and nodes come later.
import { IpSet, type Prefix } from "../ip/index.ts";
import { emptyBits, setBit, type Bits } from "./bits.ts";
import { coversInternet, internetSet } from "./networks.ts";
import type { Policy, Rule, SourceSpec, Unit } from "./policy.ts";
import type { Posture } from "./postures.ts";
import { PrefixIndex } from "./prefix-index.ts";
import { nodeSetKey, selectorKey, type NodeSet, type Selector } from "./selectors.ts";

/** A distinct set of sources. */
export interface Source {
  readonly id: number;
  readonly spec: SourceSpec;
  readonly nodeSets: readonly number[];
  /** `*`: tailnet addresses and approved subnet routes. */
  readonly any: boolean;
  /** autogroup:danger-all: every address there is. */
  readonly danger: boolean;
  readonly prefixes: readonly Prefix[];
  readonly addresses: IpSet;
  readonly postures: readonly Posture[];
}

/** One rule's grant of reachability, apart from ports: the part with ordinary destinations, or autogroup:self. */
export interface Reach {
  readonly id: number;
  readonly rule: Rule;
  readonly source: Source;
  readonly self: boolean;
  readonly dst: readonly Selector[];
  readonly any: boolean;
  readonly internet: boolean;
  readonly nodeSets: readonly number[];
  readonly prefixes: readonly Prefix[];
  /** Opens exit nodes: `*`, autogroup:internet, or addresses that hold the whole public space. */
  readonly exit: boolean;
  readonly via: readonly string[];
}

/** One line of the packet filter, in order. */
export type Emit = { readonly order: number; readonly reach: Reach } & (
  | { readonly kind: "ports"; readonly unit: Extract<Unit, { kind: "ports" }> }
  | { readonly kind: "apps"; readonly unit: Extract<Unit, { kind: "apps" }> }
  /** What the sources of a drive or relay grant must be told of its destinations. */
  | { readonly kind: "companion"; readonly capability: string; readonly destinations: Source }
);

/** Capabilities that give the other side one, too (protocol §4.9). */
const companions: ReadonlyMap<string, string> = new Map([
  ["tailscale.com/cap/drive", "tailscale.com/cap/drive-sharer"],
  ["tailscale.com/cap/relay", "tailscale.com/cap/relay-target"],
]);

export interface Program {
  readonly policy: Policy;
  readonly nodeSets: readonly NodeSet[];
  /** Key of a node set → its number. */
  readonly nodeSetIds: ReadonlyMap<string, number>;
  readonly sources: readonly Source[];
  readonly reaches: readonly Reach[];
  readonly emits: readonly Emit[];
  /** Per line: the first line for the same source and protocol, where it goes in a filter. */
  readonly firstOf: readonly number[];
  /** Per reach: its lines of the filter, companions included. */
  readonly emitsOf: readonly (readonly Emit[])[];
  /** Per node set: sources and (not steered) reaches that name it. */
  readonly sourcesOfSet: readonly (readonly number[])[];
  readonly reachesOfSet: readonly (readonly number[])[];
  /** Per source: reaches with it as source. */
  readonly reachesOfSource: readonly (readonly number[])[];
  readonly anySources: readonly number[];
  /** Prefixes of sources → source ids; of destinations (not steered) → reach ids. */
  readonly sourcePrefixes: PrefixIndex;
  readonly reachPrefixes: PrefixIndex;
  readonly anyReaches: Bits;
  /** Those of them, and of those that open exit nodes, that lead into networks: capabilities alone end at nodes. */
  readonly networkReaches: Bits;
  readonly exitReaches: Bits;
  /** Destinations with public addresses: an exit node's filter carries them. */
  readonly publicReaches: Bits;
  readonly selfReaches: Bits;
  readonly viaReaches: readonly Reach[];
  readonly hasSelf: boolean;
  /** Source for ad-hoc selectors (SSH, recorders): interned like all others. */
  readonly sshSources: readonly Source[];
  readonly recorderSources: readonly (Source | undefined)[];
}

export function layOut(policy: Policy): Program {
  const layout = new Layout();
  const sshSources = policy.ssh.map((rule) => layout.source(rule.src));
  const recorderSources = policy.ssh.map((rule) =>
    rule.recorders.length === 0 ? undefined : layout.source({ selectors: rule.recorders, postures: [] }),
  );
  policy.ssh.forEach((rule) => layout.setsOf(rule.dst));
  for (const rule of policy.rules) {
    layout.rule(rule);
  }
  return layout.finish(policy, sshSources, recorderSources);
}

class Layout {
  readonly #nodeSets: NodeSet[] = [];
  readonly #nodeSetIds = new Map<string, number>();
  readonly #sources: Source[] = [];
  readonly #sourceIds = new Map<string, Source>();
  readonly #reaches: Reach[] = [];
  readonly #emits: Emit[] = [];

  nodeSet(set: NodeSet): number {
    const key = nodeSetKey(set);
    let id = this.#nodeSetIds.get(key);
    if (id === undefined) {
      id = this.#nodeSets.length;
      this.#nodeSetIds.set(key, id);
      this.#nodeSets.push(set);
    }
    return id;
  }

  source(spec: SourceSpec): Source {
    const selectors = [...new Set(spec.selectors.map(selectorKey))].sort();
    const key = JSON.stringify([selectors, [...new Set(spec.postures.map(({ name }) => name))].sort()]);
    let source = this.#sourceIds.get(key);
    if (source === undefined) {
      const prefixes = spec.selectors.flatMap((each) => (each.kind === "addresses" ? each.prefixes : []));
      source = {
        id: this.#sources.length,
        spec,
        nodeSets: this.setsOf(spec.selectors),
        any: spec.selectors.some(({ kind }) => kind === "any"),
        danger: spec.selectors.some(({ kind }) => kind === "danger-all"),
        prefixes,
        addresses: IpSet.ofPrefixes(prefixes),
        postures: spec.postures,
      };
      this.#sources.push(source);
      this.#sourceIds.set(key, source);
    }
    return source;
  }

  /** The numbers of the node sets among the selectors. */
  setsOf(selectors: readonly Selector[]): readonly number[] {
    return [...new Set(selectors.flatMap((each) => (each.kind === "nodes" ? [this.nodeSet(each.set)] : [])))];
  }

  rule(rule: Rule): void {
    const source = this.source(rule.src);
    // A steered rule opens ports on routers; capabilities have no destination there.
    const units = rule.via.length === 0 ? rule.units : rule.units.filter(({ kind }) => kind === "ports");
    const plain = rule.dst.length > 0 && units.some(({ self }) => !self) ? this.#reach(rule, source, false) : undefined;
    const self = rule.self && units.some((unit) => unit.self) ? this.#reach(rule, source, true) : undefined;
    for (const unit of units) {
      const reach = unit.self ? self : plain;
      if (reach !== undefined) {
        this.#emit(reach, unit);
      }
    }
  }

  #reach(rule: Rule, source: Source, self: boolean): Reach {
    const dst = self ? [] : rule.dst;
    const prefixes = dst.flatMap((each) => (each.kind === "addresses" ? each.prefixes : []));
    const any = dst.some(({ kind }) => kind === "any");
    const internet = dst.some(({ kind }) => kind === "internet");
    const reach: Reach = {
      id: this.#reaches.length,
      rule,
      source,
      self,
      dst,
      any,
      internet,
      nodeSets: this.setsOf(dst),
      prefixes,
      exit: any || internet || coversInternet(IpSet.ofPrefixes(prefixes)),
      via: self ? [] : rule.via,
    };
    this.#reaches.push(reach);
    return reach;
  }

  #emit(reach: Reach, unit: Unit): void {
    if (unit.kind === "ports") {
      this.#emits.push({ order: this.#emits.length, reach, kind: "ports", unit });
      return;
    }
    this.#emits.push({ order: this.#emits.length, reach, kind: "apps", unit });
    for (const name of unit.apps.map((app) => app.name).sort()) {
      const capability = companions.get(name);
      if (capability !== undefined) {
        const destinations = this.source({
          selectors: reach.self ? reach.source.spec.selectors : unit.targets,
          postures: [],
        });
        this.#emits.push({ order: this.#emits.length, reach, kind: "companion", capability, destinations });
      }
    }
  }

  finish(policy: Policy, sshSources: readonly Source[], recorderSources: readonly (Source | undefined)[]): Program {
    const reaches = this.#reaches;
    const sources = this.#sources;
    const plain = reaches.filter((reach) => reach.via.length === 0);
    const sourcePrefixes = new PrefixIndex();
    for (const source of sources) {
      source.prefixes.forEach((prefix) => sourcePrefixes.add(prefix, source.id));
    }
    const reachPrefixes = new PrefixIndex();
    for (const reach of plain) {
      reach.prefixes.forEach((prefix) => reachPrefixes.add(prefix, reach.id));
    }
    const bitsOf = (test: (reach: Reach) => boolean): Bits => {
      const bits = emptyBits(reaches.length);
      reaches.filter(test).forEach(({ id }) => setBit(bits, id));
      return bits;
    };
    return {
      policy,
      nodeSets: this.#nodeSets,
      nodeSetIds: this.#nodeSetIds,
      sources,
      reaches,
      emits: this.#emits,
      firstOf: firstLines(this.#emits),
      emitsOf: groupBy(this.#emits, reaches.length, (emit) => [emit.reach.id]),
      sourcesOfSet: groupIds(sources, this.#nodeSets.length, (source) => source.nodeSets),
      reachesOfSet: groupIds(plain, this.#nodeSets.length, (reach) => reach.nodeSets),
      reachesOfSource: groupIds(reaches, sources.length, (reach) => [reach.source.id]),
      anySources: sources.filter(({ any }) => any).map(({ id }) => id),
      sourcePrefixes,
      reachPrefixes,
      anyReaches: bitsOf((reach) => reach.any && reach.via.length === 0),
      networkReaches: bitsOf((reach) => reach.any && reach.via.length === 0 && leadsIntoNetworks(reach)),
      exitReaches: bitsOf((reach) => reach.exit && reach.via.length === 0 && leadsIntoNetworks(reach)),
      publicReaches: bitsOf(
        (reach) => reach.via.length === 0 && reach.prefixes.some((prefix) => internetSet.overlaps(prefix)),
      ),
      selfReaches: bitsOf((reach) => reach.self),
      viaReaches: reaches.filter((reach) => reach.via.length > 0),
      hasSelf: reaches.some((reach) => reach.self),
      sshSources,
      recorderSources,
    };
  }
}

/** By ports; or because what lies in the networks is given a capability in return. */
function leadsIntoNetworks({ rule, self }: Reach): boolean {
  return rule.units.some(
    (unit) => unit.self === self && (unit.kind === "ports" || unit.apps.some(({ name }) => companions.has(name))),
  );
}

/** Lines for the same source and protocol become one rule, in the place of the first of them. */
function firstLines(emits: readonly Emit[]): readonly number[] {
  const first = new Map<string, number>();
  return emits.map((emit) => {
    if (emit.kind !== "ports" || emit.reach.self) {
      return emit.order;
    }
    const key = `${emit.reach.source.id} ${emit.unit.protocol ?? ""}`;
    const order = first.get(key) ?? emit.order;
    first.set(key, order);
    return order;
  });
}

function groupBy<Item>(
  items: readonly Item[],
  size: number,
  keys: (item: Item) => readonly number[],
): readonly (readonly Item[])[] {
  const groups: Item[][] = Array.from({ length: size }, () => []);
  for (const item of items) {
    for (const key of keys(item)) {
      groups[key]?.push(item);
    }
  }
  return groups;
}

function groupIds<Item extends { readonly id: number }>(
  items: readonly Item[],
  size: number,
  keys: (item: Item) => readonly number[],
): readonly (readonly number[])[] {
  return groupBy(items, size, keys).map((group) => group.map(({ id }) => id));
}
