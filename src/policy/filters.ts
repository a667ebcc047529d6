// Packet filters of all nodes. A filter is kept while nothing it depends on changed, and shared where nodes get the same.
import type { FilterRule } from "../wire/tailcfg.ts";
import { hasBit } from "./bits.ts";
import type { NodeClass } from "./classes.ts";
import type { Entry } from "./entries.ts";
import { FilterMaker, isSmall, type FilterWorld } from "./filter-maker.ts";
import type { Emit } from "./program.ts";
import { sameTexts } from "./sources.ts";

interface Kept {
  readonly entry: Entry;
  readonly stamp: number;
  readonly filter: readonly FilterRule[];
}

const noRules: readonly FilterRule[] = [];
/** Filters shared between nodes that are kept at most; more, and sharing starts over. */
const maxShared = 4096;

export class Filters {
  readonly #world: FilterWorld;
  readonly #kept = new Map<number, Kept>();
  readonly #shared = new Map<string, readonly FilterRule[]>();
  readonly #textIds = new WeakMap<readonly string[], number>();
  #lastTextId = 0;

  constructor(world: FilterWorld) {
    this.#world = world;
  }

  forget(node: number): void {
    this.#kept.delete(node);
  }

  of(entry: Entry): readonly FilterRule[] {
    const plan = this.#planOf(entry.cls);
    const stamp = this.#stamp(plan, entry);
    const kept = this.#kept.get(entry.node.id);
    if (kept !== undefined && kept.entry === entry && kept.stamp === stamp) {
      return kept.filter;
    }
    const made = this.#make(plan, entry);
    const filter = kept !== undefined && sameFilter(kept.filter, made) ? kept.filter : made;
    this.#kept.set(entry.node.id, { entry, stamp, filter });
    return filter;
  }

  /** Every line that may concern nodes of the class. */
  #planOf(cls: NodeClass): readonly Emit[] {
    cls.plan ??= this.#world.program.emits.filter(({ kind, reach }) =>
      kind === "companion"
        ? hasBit(cls.src, reach.id)
        : hasBit(cls.dst, reach.id) || reach.self || hasBit(this.#world.program.publicReaches, reach.id),
    );
    return cls.plan;
  }

  /** Versions only grow, so an equal sum means that none moved. */
  #stamp(plan: readonly Emit[], entry: Entry): number {
    let stamp = isSmall(this.#world) ? -1e9 + this.#world.sources.totalVersion() : 0;
    let self = false;
    for (const emit of plan) {
      stamp += this.#world.sources.state(emit.kind === "companion" ? emit.destinations : emit.reach.source).version;
      self ||= emit.reach.self;
    }
    return self ? stamp + this.#world.userVersion(entry) : stamp;
  }

  #make(plan: readonly Emit[], entry: Entry): readonly FilterRule[] {
    const maker = new FilterMaker(this.#world, entry);
    for (const emit of plan) {
      maker.emit(emit);
    }
    const rules = maker.rules();
    if (rules.length === 0) {
      return noRules;
    }
    return maker.own ? rules : this.#share(rules);
  }

  #share(rules: readonly FilterRule[]): readonly FilterRule[] {
    const key = rules
      .map((rule) => `${this.#textId(rule.SrcIPs)} ${rule.IPProto?.join() ?? ""} ${JSON.stringify(rule.DstPorts)}`)
      .join("\n");
    const known = this.#shared.get(key);
    if (known !== undefined) {
      return known;
    }
    if (this.#shared.size >= maxShared) {
      this.#shared.clear();
    }
    this.#shared.set(key, rules);
    return rules;
  }

  #textId(texts: readonly string[]): number {
    let id = this.#textIds.get(texts);
    if (id === undefined) {
      this.#lastTextId += 1;
      id = this.#lastTextId;
      this.#textIds.set(texts, id);
    }
    return id;
  }
}

function sameFilter(x: readonly FilterRule[], y: readonly FilterRule[]): boolean {
  return x.length === y.length && x.every((rule, index) => sameRule(rule, y[index]));
}

function sameRule(x: FilterRule, y: FilterRule | undefined): boolean {
  return (
    y !== undefined &&
    sameTexts(x.SrcIPs, y.SrcIPs) &&
    x.IPProto?.[0] === y.IPProto?.[0] &&
    sameJson(x.DstPorts, y.DstPorts) &&
    sameJson(x.CapGrant, y.CapGrant)
  );
}

function sameJson(x: unknown, y: unknown): boolean {
  return x === y || JSON.stringify(x) === JSON.stringify(y);
}
