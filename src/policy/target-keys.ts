// An ACL with several destinations may open different ports on each of them. Nodes that such a rule names alike are one
// class to it as far as seeing goes; what is open on them is told apart by which of its destinations they are.
import { prefixContains } from "../ip/index.ts";
import { elements, hasBit } from "./bits.ts";
import type { NodeClass } from "./classes.ts";
import type { CompiledEngine } from "./compiled-engine.ts";
import { addressesOf, type Entry } from "./entries.ts";
import type { Identity } from "./identities.ts";
import type { Program, Reach } from "./program.ts";
import { nodeSetKey, type Selector } from "./selectors.ts";

export class TargetKeys {
  /** Per rule with several destinations: their node sets by number, -1 for what is none. */
  readonly #sets: ReadonlyMap<number, readonly number[]>;
  readonly #byAddress: readonly Reach[];
  readonly #known = new Map<Identity, Map<NodeClass, string>>();

  constructor({ program }: CompiledEngine) {
    const mixed = program.reaches.filter(({ rule, dst }) => rule.section === "acls" && dst.length > 1);
    this.#sets = new Map(mixed.map(({ id, dst }) => [id, dst.map((selector) => nodeSetOf(selector, program))]));
    this.#byAddress = mixed.filter(({ prefixes }) => prefixes.length > 0);
  }

  /** Equal for two nodes of a class only if every rule opens the same on both. */
  of(entry: Entry): string {
    const addresses = addressesOf(entry.node);
    let key = this.#bySet(entry);
    for (const reach of this.#byAddress) {
      if (hasBit(entry.cls.dst, reach.id)) {
        const held = reach.prefixes.map((prefix) => addresses.some((addr) => prefixContains(prefix, addr)));
        key += held.includes(true) ? `;${reach.id}:${held.map(Number).join("")}` : "";
      }
    }
    return key;
  }

  #bySet(entry: Entry): string {
    const known = this.#known.get(entry.identity) ?? new Map<NodeClass, string>();
    this.#known.set(entry.identity, known);
    let key = known.get(entry.cls);
    if (key === undefined) {
      key = "";
      for (const reach of elements(entry.cls.dst)) {
        for (const set of this.#sets.get(reach) ?? []) {
          key += entry.identity.sets.includes(set) ? "1" : "0";
        }
      }
      known.set(entry.cls, key);
    }
    return key;
  }
}

function nodeSetOf(selector: Selector, program: Program): number {
  return selector.kind === "nodes" ? (program.nodeSetIds.get(nodeSetKey(selector.set)) ?? -1) : -1;
}
