// An ACL with several destinations may open different ports on each of them. Nodes that such a rule names alike are one
// class to it as far as seeing goes; what is open on them is told apart by which of its destinations they are.
import { prefixContains } from "../ip/index.ts";
import { hasBit } from "./bits.ts";
import type { NodeClass } from "./classes.ts";
import type { CompiledEngine } from "./compiled-engine.ts";
import { addressesOf, type Entry } from "./entries.ts";
import { isInSet } from "./filter-destinations.ts";
import type { Identity } from "./identities.ts";
import type { Reach } from "./program.ts";

export class TargetKeys {
  readonly #engine: CompiledEngine;
  readonly #mixed: readonly Reach[];
  readonly #byAddress: readonly Reach[];
  readonly #known = new Map<Identity, Map<NodeClass, string>>();

  constructor(engine: CompiledEngine) {
    this.#engine = engine;
    this.#mixed = engine.program.reaches.filter(({ rule, dst }) => rule.section === "acls" && dst.length > 1);
    this.#byAddress = this.#mixed.filter(({ prefixes }) => prefixes.length > 0);
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
      key = this.#mixed
        .filter(({ id }) => hasBit(entry.cls.dst, id))
        .map(({ dst }) =>
          dst
            .map((selector) => (selector.kind === "nodes" && isInSet(entry, selector, this.#engine.program) ? 1 : 0))
            .join(""),
        )
        .join();
      known.set(entry.cls, key);
    }
    return key;
  }
}
