// Accesses by number, so that millions of pairs can be compared: equal accesses have equal numbers, unions and
// differences are worked out once each.
import { describeAccess, exceeds, noAccess, subtract, unite, type Access } from "./access.ts";

/** The number of an access in its book; 0 is no access. */
export type AccessId = number;

/** What one access has over another and the other way round. */
export interface Difference {
  readonly id: number;
  readonly gains: boolean;
  readonly loses: boolean;
}

/** Two numbers below 2^26 in one; small ones stay small integers, which maps look up fastest. */
export function pairKey(x: number, y: number): number {
  return x < 0x8000 && y < 0x8000 ? x * 0x8000 + y : 2 ** 32 + x * 2 ** 26 + y;
}

export class AccessBook {
  readonly #all: Access[] = [noAccess];
  readonly #byKey = new Map<string, AccessId>();
  readonly #unions = new Map<number, AccessId>();
  readonly #differences = new Map<number, Difference>();
  /** Of each difference, by its id. */
  readonly #sides: (readonly [before: AccessId, after: AccessId])[] = [];

  constructor() {
    this.#byKey.set(keyOf(noAccess), 0);
  }

  id(access: Access): AccessId {
    const key = keyOf(access);
    let id = this.#byKey.get(key);
    if (id === undefined) {
      id = this.#all.length;
      this.#byKey.set(key, id);
      this.#all.push(access);
    }
    return id;
  }

  union(x: AccessId, y: AccessId): AccessId {
    if (x === y || y === 0) {
      return x;
    }
    if (x === 0) {
      return y;
    }
    const key = x < y ? pairKey(x, y) : pairKey(y, x);
    let id = this.#unions.get(key);
    if (id === undefined) {
      id = this.id(unite([this.#at(x), this.#at(y)]));
      this.#unions.set(key, id);
    }
    return id;
  }

  /** Undefined when both open the same. */
  difference(before: AccessId, after: AccessId): Difference | undefined {
    if (before === after) {
      return undefined;
    }
    const key = pairKey(before, after);
    let difference = this.#differences.get(key);
    if (difference === undefined) {
      const [old, now] = [this.#at(before), this.#at(after)];
      difference = { id: this.#sides.length, gains: exceeds(now, old), loses: exceeds(old, now) };
      this.#sides.push([before, after]);
      this.#differences.set(key, difference);
    }
    return difference.gains || difference.loses ? difference : undefined;
  }

  inWords({ id }: Difference): { readonly gained: readonly string[]; readonly lost: readonly string[] } {
    const [before, after] = this.#sides[id] ?? [0, 0];
    const [old, now] = [this.#at(before), this.#at(after)];
    return { gained: describeAccess(subtract(now, old)), lost: describeAccess(subtract(old, now)) };
  }

  #at(id: AccessId): Access {
    return this.#all[id] ?? noAccess;
  }
}

function keyOf(access: Access): string {
  return JSON.stringify([...access].sort(([x], [y]) => (x < y ? -1 : 1)));
}
