// Which router serves a prefix that several nodes offer (headscale §7.8): the present one while it is good, else the
// lowest id among the good. No flapping back. Exit routes are not elected.
import type { Prefix } from "../ip/index.ts";
import { formatPrefix, isExitRoute } from "../ip/index.ts";
import type { NodeId } from "../wire/ids.ts";

interface Contest {
  readonly prefix: Prefix;
  readonly offering: Set<NodeId>;
}

export interface Candidates {
  /** Online, and its key not expired. */
  reachable(node: NodeId): boolean;
  healthy(node: NodeId): boolean;
}

export class Elections {
  readonly #contests = new Map<string, Contest>();
  readonly #primaries = new Map<string, NodeId>();
  readonly #won = new Map<NodeId, Map<string, Prefix>>();
  readonly #due = new Set<string>();

  get primaries(): ReadonlyMap<string, NodeId> {
    return this.#primaries;
  }

  /** The node's effective routes changed. */
  offer(node: NodeId, before: readonly Prefix[], after: readonly Prefix[]): void {
    if (before === after) {
      return;
    }
    for (const prefix of before) {
      this.#withdraw(node, prefix);
    }
    for (const prefix of after) {
      if (!isExitRoute(prefix)) {
        const key = formatPrefix(prefix);
        let contest = this.#contests.get(key);
        if (contest === undefined) {
          contest = { prefix, offering: new Set() };
          this.#contests.set(key, contest);
        }
        contest.offering.add(node);
        this.#due.add(key);
      }
    }
  }

  #withdraw(node: NodeId, prefix: Prefix): void {
    const key = formatPrefix(prefix);
    this.#contests.get(key)?.offering.delete(node);
    this.#due.add(key);
  }

  /** The node went on- or offline, expired, or its health changed. */
  reconsider(routes: readonly Prefix[]): void {
    for (const prefix of routes) {
      if (!isExitRoute(prefix)) {
        this.#due.add(formatPrefix(prefix));
      }
    }
  }

  /** Holds the elections that are due; returns the nodes that won or lost a prefix, and all that stood for one. */
  hold(candidates: Candidates): { readonly moved: ReadonlySet<NodeId>; readonly stood: ReadonlySet<NodeId> } {
    const moved = new Set<NodeId>();
    const stood = new Set<NodeId>();
    for (const key of this.#due) {
      const contest = this.#contests.get(key);
      if (contest === undefined) {
        continue;
      }
      contest.offering.forEach((node) => stood.add(node));
      const before = this.#primaries.get(key);
      const after = elect(contest.offering, before, candidates);
      if (before !== after) {
        this.#hand(key, contest.prefix, before, after);
        for (const node of [before, after]) {
          if (node !== undefined) {
            moved.add(node);
          }
        }
      }
      if (contest.offering.size === 0) {
        this.#contests.delete(key);
      }
    }
    this.#due.clear();
    return { moved, stood };
  }

  #hand(key: string, prefix: Prefix, from: NodeId | undefined, to: NodeId | undefined): void {
    if (from !== undefined) {
      const won = this.#won.get(from);
      won?.delete(key);
      if (won?.size === 0) {
        this.#won.delete(from);
      }
    }
    if (to === undefined) {
      this.#primaries.delete(key);
      return;
    }
    this.#primaries.set(key, to);
    const won = this.#won.get(to);
    if (won === undefined) {
      this.#won.set(to, new Map([[key, prefix]]));
    } else {
      won.set(key, prefix);
    }
  }

  /** The prefixes the node serves, in no order. */
  wonBy(node: NodeId): readonly Prefix[] {
    return [...(this.#won.get(node)?.values() ?? [])];
  }
}

function elect(offering: ReadonlySet<NodeId>, current: NodeId | undefined, candidates: Candidates): NodeId | undefined {
  let reachable = 0;
  let lowest: NodeId | undefined;
  let lowestHealthy: NodeId | undefined;
  for (const node of offering) {
    if (!candidates.reachable(node)) {
      continue;
    }
    reachable++;
    if (lowest === undefined || node < lowest) {
      lowest = node;
    }
    if (candidates.healthy(node) && (lowestHealthy === undefined || node < lowestHealthy)) {
      lowestHealthy = node;
    }
  }
  const stays = current !== undefined && offering.has(current) && candidates.reachable(current);
  if (lowestHealthy !== undefined) {
    return stays && candidates.healthy(current) ? current : lowestHealthy;
  }
  if (stays) {
    return current;
  }
  // The prober asks only where there is a choice, so nothing would ever clear the verdict on the only one left.
  return reachable === 1 ? lowest : undefined;
}
