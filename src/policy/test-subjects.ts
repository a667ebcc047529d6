// What the texts of a policy's tests stand for in a tailnet: nodes with all their addresses, or addresses as written.
// Found once per text, for there may be thousands of tests.
import { addrKey, type Prefix } from "../ip/index.ts";
import type { CompiledEngine } from "./compiled-engine.ts";
import { addressesOf, type Entry } from "./entries.ts";
import { isInSet } from "./filter-destinations.ts";
import { selectorKey, type Selector } from "./selectors.ts";

export type Subject =
  | { readonly kind: "node"; readonly entry: Entry }
  /** An address or network that is written out; `entry` where it is one of a node. */
  | { readonly kind: "address"; readonly prefix: Prefix; readonly entry: Entry | undefined };

export class TestSubjects {
  readonly #engine: CompiledEngine;
  readonly #byAddress = new Map<number | string, Entry>();
  readonly #known = new Map<string, readonly Subject[]>();

  constructor(engine: CompiledEngine) {
    this.#engine = engine;
    for (const entry of engine.entries()) {
      addressesOf(entry.node).forEach((addr) => this.#byAddress.set(addrKey(addr), entry));
    }
  }

  of(selector: Selector): readonly Subject[] {
    const key = selectorKey(selector);
    const known = this.#known.get(key) ?? this.#find(selector);
    this.#known.set(key, known);
    return known;
  }

  /** The nodes among them; an address names the node that has it. */
  nodes(selector: Selector): readonly Entry[] {
    return this.of(selector).flatMap(({ entry }) => entry ?? []);
  }

  #find(selector: Selector): readonly Subject[] {
    const nodes = (entries: Iterable<Entry>): readonly Subject[] =>
      [...entries].map((entry) => ({ kind: "node", entry }));
    switch (selector.kind) {
      case "any":
        return nodes(this.#engine.entries());
      case "nodes":
        return nodes([...this.#engine.entries()].filter((entry) => isMember(this.#engine, entry, selector)));
      case "addresses":
        return selector.prefixes.map((prefix) => {
          const single = prefix.bits === (prefix.addr.family === 4 ? 32 : 128);
          return { kind: "address", prefix, entry: single ? this.#byAddress.get(addrKey(prefix.addr)) : undefined };
        });
      case "danger-all":
      case "internet":
      case "self":
        return [];
    }
  }
}

export function isMember(
  engine: CompiledEngine,
  entry: Entry,
  selector: Extract<Selector, { kind: "nodes" }>,
): boolean {
  return isInSet(entry, selector, engine.program) || inSetByName(engine, entry, selector);
}

/** Names that only a test uses are in no index. */
function inSetByName(engine: CompiledEngine, entry: Entry, selector: Extract<Selector, { kind: "nodes" }>): boolean {
  const { user, tags } = entry.identity;
  switch (selector.set.kind) {
    case "tag":
      return tags.includes(selector.set.name);
    case "tagged":
      return tags.length > 0;
    case "member":
      return user !== undefined;
    case "shared":
      return false;
    case "user":
      return user !== undefined && engine.directory.resolve(selector.set.token)?.id === user.id;
    case "group":
      return user !== undefined && engine.directory.groupsOf(user).has(selector.set.name);
    case "domain":
      return user?.email.toLowerCase().endsWith(`@${selector.set.domain}`) === true;
    case "role":
      return user?.role === selector.set.role;
  }
}
