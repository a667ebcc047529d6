// How destinations of rules read in the filter of one node: its own addresses, the networks behind it, the internet if
// it is an exit node.
import {
  formatAddr,
  formatPrefix,
  hostPrefix,
  maskPrefix,
  prefixContains,
  prefixOverlaps,
  type Addr,
  type Prefix,
} from "../ip/index.ts";
import { addressText } from "./address-list.ts";
import { addressesOf, steersRoute, type Entry } from "./entries.ts";
import { internetSet, internetTexts } from "./networks.ts";
import type { Program, Reach, Source } from "./program.ts";
import { nodeSetKey, type Selector } from "./selectors.ts";

export class Destinations {
  readonly #program: Program;
  readonly #entry: Entry;
  readonly #addresses: readonly Addr[];
  /** Something that was asked for names the node itself. */
  own = false;

  constructor(program: Program, entry: Entry) {
    this.#program = program;
    this.#entry = entry;
    this.#addresses = addressesOf(entry.node);
  }

  /** How this destination reads in the node's own filter. */
  texts(reach: Reach, selector: Selector): readonly string[] {
    if (reach.via.length > 0) {
      return this.#steeredDestinations(reach, selector);
    }
    switch (selector.kind) {
      case "any":
        return ["*"];
      case "internet":
        return this.#entry.exit ? internetTexts : [];
      case "danger-all":
        return [];
      case "self":
        return this.#ownTexts();
      case "nodes":
        return this.#isIn(selector) ? this.#ownTexts() : [];
      case "addresses":
        return selector.prefixes.filter((prefix) => this.#serves(prefix)).map(networkText);
    }
  }

  #ownTexts(): readonly string[] {
    this.own = true;
    return this.#addresses.map(addressText);
  }

  #isIn(selector: Extract<Selector, { kind: "nodes" }>): boolean {
    return isInSet(this.#entry, selector, this.#program);
  }

  /** Is there an address in the prefix for which packets come to this node? */
  #serves(prefix: Prefix): boolean {
    return (
      this.#addresses.some((addr) => prefixContains(prefix, addr)) ||
      this.#entry.subnets.some((route) => prefixOverlaps(route, prefix)) ||
      (this.#entry.exit && internetSet.overlaps(prefix))
    );
  }

  #steeredDestinations(reach: Reach, selector: Selector): readonly string[] {
    const { identity, subnets, exit } = this.#entry;
    if (!reach.via.some((tag) => identity.tags.includes(tag))) {
      return [];
    }
    if (selector.kind === "internet") {
      return exit ? internetTexts : [];
    }
    if (selector.kind === "any") {
      return exit || subnets.some((route) => steersRoute(reach, route)) ? ["*"] : [];
    }
    return selector.kind === "addresses"
      ? selector.prefixes
          .filter((prefix) => subnets.some((route) => prefixOverlaps(route, prefix)))
          .map((prefix) => formatPrefix(maskPrefix(prefix)))
      : [];
  }

  /** Own addresses one by one, networks behind the node whole; sorted, each once. */
  capTexts(selector: Selector): readonly string[] {
    this.own = true;
    const hosts = this.#addresses.map((addr) => formatPrefix(hostPrefix(addr)));
    switch (selector.kind) {
      case "any":
      case "self":
      // Stands here as the source of a companion: every node is among it.
      case "danger-all":
        return hosts;
      case "internet":
        return [];
      case "nodes":
        return this.#isIn(selector) ? hosts : [];
      case "addresses": {
        const inside = this.#addresses.filter((addr) =>
          selector.prefixes.some((prefix) => prefixContains(prefix, addr)),
        );
        const behind = selector.prefixes.filter(
          (prefix) =>
            !this.#addresses.some((addr) => prefixContains(prefix, addr)) &&
            this.#entry.subnets.some((route) => prefixOverlaps(route, prefix)),
        );
        return [
          ...new Set([
            ...inside.map((addr) => formatPrefix(hostPrefix(addr))),
            ...behind.map((prefix) => formatPrefix(maskPrefix(prefix))),
          ]),
        ].sort();
      }
    }
  }

  /** The node as a member of the source, and the networks of the source that lie behind it. */
  companionTexts(source: Source): readonly string[] {
    const found = new Set(source.spec.selectors.flatMap((selector) => this.capTexts(selector)));
    return [...found].sort();
  }
}

/** A single address without its length, a network with it and without host bits. */
export function networkText(prefix: Prefix): string {
  return prefix.bits === (prefix.addr.family === 4 ? 32 : 128)
    ? formatAddr(prefix.addr)
    : formatPrefix(maskPrefix(prefix));
}

export function isInSet(entry: Entry, selector: Extract<Selector, { kind: "nodes" }>, program: Program): boolean {
  const id = program.nodeSetIds.get(nodeSetKey(selector.set));
  return id !== undefined && entry.identity.sets.includes(id);
}
