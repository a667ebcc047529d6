// Nodes that neither the old policy nor the new one can tell apart as source, or as destination, with what both say of
// them in shared numbers: rules that stand in both policies count as one, so that only what differs need be looked at.
import { formatPrefix } from "../ip/index.ts";
import { bitsKey, elements, emptyBits, setBit, type Bits } from "./bits.ts";
import type { NodeClass } from "./classes.ts";
import type { CompiledEngine } from "./compiled-engine.ts";
import type { Entry } from "./entries.ts";
import type { Unit } from "./policy.ts";
import { Names } from "./preview-groups.ts";
import type { Reach } from "./program.ts";
import { selectorKey, type Selector } from "./selectors.ts";
import { TargetKeys } from "./target-keys.ts";

/** Nodes with the same rules naming them, before and after. */
export interface PairedGroup {
  readonly number: number;
  readonly before: Bits;
  readonly after: Bits;
  readonly changed: boolean;
  /** The states of one of them under the old and the new policy. */
  readonly samples: { readonly before: Entry; readonly after: Entry };
  readonly entries: Entry[];
  /** Not the nodes themselves but the networks behind them. */
  readonly behind: boolean;
  /** How many of them each person owns. */
  readonly owners: Map<number, number>;
  /** What the nodes are called by: numbers of labels. */
  readonly labels: Set<number>;
}

export interface Overlay {
  readonly sources: readonly PairedGroup[];
  readonly destinations: readonly PairedGroup[];
  readonly groupsOf: ReadonlyMap<Entry, { readonly src: PairedGroup; readonly dst: PairedGroup }>;
  /** Reaches by shared number. */
  readonly before: ReadonlyMap<number, Reach>;
  readonly after: ReadonlyMap<number, Reach>;
  readonly self: Bits;
  readonly names: Names;
}

export function overlay(before: CompiledEngine, after: CompiledEngine): Overlay {
  const ids = new Map<string, number>();
  const number = (reach: Reach): number => {
    const key = reachKey(reach);
    const known = ids.get(key) ?? ids.size;
    ids.set(key, known);
    return known;
  };
  const beforeIds = before.program.reaches.map(number);
  const afterIds = after.program.reaches.map(number);
  const self = emptyBits(ids.size);
  const old = new Translation(before, beforeIds, ids.size, self);
  const now = new Translation(after, afterIds, ids.size, self);
  const targets = { before: new TargetKeys(before), after: new TargetKeys(after) };
  const names = new Names(before.entries());
  const sources = new Grouping(names);
  const destinations = new Grouping(names);
  const groupsOf = new Map<Entry, { readonly src: PairedGroup; readonly dst: PairedGroup }>();
  for (const entry of before.entries()) {
    const other = after.entry(entry.node.id);
    if (other !== undefined) {
      const [x, y] = [old.of(entry.cls), now.of(other.cls)];
      // What lies behind a router is part of what is reached: routers are not lumped together.
      const routes = entry.node.routes.length === 0 ? "" : entry.node.routes.map(formatPrefix).join(" ");
      groupsOf.set(entry, {
        src: addSource({ before, after, old, now }, sources, entry, other),
        dst: destinations.add(
          `${x.dstKey} ${y.dstKey} ${targets.before.of(entry)} ${targets.after.of(other)} ${routes}`,
          x.dst,
          y.dst,
          entry,
          other,
        ),
      });
    }
  }
  return {
    sources: sources.all(),
    destinations: destinations.all(),
    groupsOf,
    before: new Map(before.program.reaches.map((reach, index) => [beforeIds[index] ?? 0, reach])),
    after: new Map(after.program.reaches.map((reach, index) => [afterIds[index] ?? 0, reach])),
    self,
    names,
  };
}

interface Sides {
  readonly before: CompiledEngine;
  readonly after: CompiledEngine;
  readonly old: Translation;
  readonly now: Translation;
}

/** The node as a source; what is behind a router is a source of its own. */
function addSource({ before, after, old, now }: Sides, sources: Grouping, entry: Entry, other: Entry): PairedGroup {
  if (entry.subnets.length === 0) {
    const [x, y] = [old.of(entry.cls), now.of(other.cls)];
    return sources.add(`${x.srcKey} ${y.srcKey}`, x.src, y.src, entry, other);
  }
  const [x, y] = [before.splitSource(entry), after.splitSource(other)];
  const [behindX, behindY] = [old.bits(x.behind), now.bits(y.behind)];
  sources.add(`behind ${behindX.key} ${behindY.key}`, behindX.bits, behindY.bits, entry, other, true);
  const [ownX, ownY] = [old.bits(x.own), now.bits(y.own)];
  return sources.add(`${ownX.key} ${ownY.key}`, ownX.bits, ownY.bits, entry, other);
}

interface Translated {
  readonly src: Bits;
  readonly dst: Bits;
  readonly srcKey: number;
  readonly dstKey: number;
}

/** One policy's classes in the shared numbers of rules. */
class Translation {
  readonly #ids: readonly number[];
  readonly #size: number;
  readonly #known = new Map<NodeClass, Translated>();
  readonly #keys = new Map<string, number>();

  constructor(engine: CompiledEngine, ids: readonly number[], size: number, self: Bits) {
    this.#ids = ids;
    this.#size = size;
    for (const reach of engine.program.reaches) {
      if (reach.self) {
        setBit(self, ids[reach.id] ?? 0);
      }
    }
  }

  of(cls: NodeClass): Translated {
    let found = this.#known.get(cls);
    if (found === undefined) {
      const [src, dst] = [this.#translate(cls.src), this.#translate(cls.dst)];
      found = { src, dst, srcKey: this.#key(src), dstKey: this.#key(dst) };
      this.#known.set(cls, found);
    }
    return found;
  }

  bits(own: Bits): { readonly bits: Bits; readonly key: number } {
    const bits = this.#translate(own);
    return { bits, key: this.#key(bits) };
  }

  #translate(bits: Bits): Bits {
    const out = emptyBits(this.#size);
    for (const id of elements(bits)) {
      setBit(out, this.#ids[id] ?? 0);
    }
    return out;
  }

  #key(bits: Bits): number {
    const text = bitsKey(bits);
    const key = this.#keys.get(text) ?? this.#keys.size;
    this.#keys.set(text, key);
    return key;
  }
}

class Grouping {
  readonly #groups = new Map<string, PairedGroup>();
  readonly #names: Names;

  constructor(names: Names) {
    this.#names = names;
  }

  add(key: string, before: Bits, after: Bits, entry: Entry, other: Entry, behind = false): PairedGroup {
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = {
        number: this.#groups.size,
        before,
        after,
        changed: before.some((word, index) => word !== after[index]),
        samples: { before: entry, after: other },
        entries: [],
        owners: new Map(),
        labels: new Set(),
        behind,
      };
      this.#groups.set(key, group);
    }
    group.entries.push(entry);
    for (const label of this.#names.labelsOf(entry.identity)) {
      group.labels.add(label);
    }
    const owner = entry.identity.user?.id;
    if (owner !== undefined && !behind) {
      group.owners.set(owner, (group.owners.get(owner) ?? 0) + 1);
    }
    return group;
  }

  all(): readonly PairedGroup[] {
    return [...this.#groups.values()];
  }
}

/** Equal for rules that mean the same wherever they stand. */
function reachKey(reach: Reach): string {
  const { spec } = reach.source;
  return JSON.stringify([
    [...new Set(spec.selectors.map(meaning))].sort(),
    spec.postures.map(({ texts }) => [...texts].sort().join(" and ")).sort(),
    reach.self,
    reach.via,
    reach.rule.units.filter((unit) => unit.self === reach.self).map(unitMeaning),
  ]);
}

function meaning(selector: Selector): string {
  return selector.kind === "addresses" ? selector.prefixes.map(formatPrefix).join(" ") : selectorKey(selector);
}

function unitMeaning(unit: Unit): unknown {
  return unit.kind === "ports"
    ? [unit.protocol ?? null, unit.targets.map(({ selector, ports }) => [meaning(selector), ports])]
    : [unit.apps, unit.targets.map(meaning)];
}
