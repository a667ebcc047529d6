// In which order routers are preferred where a rule leads through some of them only (`via`): who can serve before who
// cannot, and among those who was there first, so that nothing moves back when a router returns.
import type { NodeId } from "../wire/ids.ts";
import type { Candidates } from "./elections.ts";

/** Good; reachable but found to serve nothing; not there. */
type Standing = "ready" | "doubtful" | "away";

interface Place {
  readonly standing: Standing;
  readonly precedence: number | undefined;
}

/** More turns than any server takes. */
const doubtfulFrom = 2 ** 40;

export class Precedences {
  readonly #places = new Map<NodeId, Place>();
  #turn = 0;

  /** Undefined for a node that is not there, or offers nothing. */
  of(node: NodeId): number | undefined {
    return this.#places.get(node)?.precedence;
  }

  /** Looks at these routers again, in the order of their ids; returns those whose place is another now. */
  review(routers: ReadonlySet<NodeId>, candidates: Candidates): ReadonlySet<NodeId> {
    const moved = new Set<NodeId>();
    for (const node of [...routers].sort((x, y) => x - y)) {
      const standing = !candidates.reachable(node) ? "away" : candidates.healthy(node) ? "ready" : "doubtful";
      if ((this.#places.get(node)?.standing ?? "away") !== standing) {
        this.#places.set(node, { standing, precedence: this.#next(standing) });
        moved.add(node);
      }
    }
    return moved;
  }

  #next(standing: Standing): number | undefined {
    switch (standing) {
      case "ready":
        return ++this.#turn;
      case "doubtful":
        return doubtfulFrom + ++this.#turn;
      case "away":
        return undefined;
    }
  }

  forget(node: NodeId): void {
    this.#places.delete(node);
  }
}
