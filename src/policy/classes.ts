// Nodes that no rule can tell apart form a class: the same rules name them as source, the same as destination.
// Who sees whom is a question between classes.
import type { NodeId } from "../wire/ids.ts";
import { bitsKey, intersects, type Bits } from "./bits.ts";
import type { Emit } from "./program.ts";
import type { View } from "./views.ts";

export interface NodeClass {
  readonly key: string;
  /** Reaches with these nodes (or their subnet routes) as source, as destination. */
  readonly src: Bits;
  readonly dst: Bits;
  readonly nodes: Set<NodeId>;
  /** Views of nodes of this class, by what else tells viewers apart. */
  readonly views: Map<string, View>;
  /** Lines of the filter that concern these nodes, in order; filled when first asked for. */
  plan: readonly Emit[] | undefined;
  /** Emptied and taken out: whoever still knows it may compare with it but puts no node into it. */
  dropped: boolean;
}

export class ClassBook {
  readonly #classes = new Map<string, NodeClass>();

  of(src: Bits, dst: Bits): NodeClass {
    const key = bitsKey(src) + bitsKey(dst);
    let found = this.#classes.get(key);
    if (found === undefined) {
      found = newClass(key, src, dst);
      this.#classes.set(key, found);
    }
    return found;
  }

  join(cls: NodeClass, node: NodeId): void {
    cls.nodes.add(node);
  }

  leave(cls: NodeClass, node: NodeId): void {
    cls.nodes.delete(node);
    if (cls.nodes.size === 0) {
      cls.dropped = true;
      this.#classes.delete(cls.key);
    }
  }

  all(): Iterable<NodeClass> {
    return this.#classes.values();
  }

  get size(): number {
    return this.#classes.size;
  }
}

/** A class of its own, for a node that is only thought of. */
export function detachedClass(src: Bits, dst: Bits): NodeClass {
  return newClass(bitsKey(src) + bitsKey(dst), src, dst);
}

function newClass(key: string, src: Bits, dst: Bits): NodeClass {
  return { key, src, dst, nodes: new Set(), views: new Map(), plan: undefined, dropped: false };
}

/** May nodes of either class reach nodes of the other (leaving autogroup:self aside)? */
export function seeEachOther(x: NodeClass, y: NodeClass): boolean {
  return intersects(x.src, y.dst) || intersects(y.src, x.dst);
}
