// A request body being gathered, in a buffer of its own: pieces are copied, so that one byte never holds on to a whole
// network buffer. All unfinished bodies of an edge share one budget, because anybody may begin a request.

export interface BodyBudget {
  /** False when there is no room for so many bytes. */
  take(bytes: number): boolean;
  give(bytes: number): void;
}

/** One budget for everybody. */
export function createBodyPool(capacity: number): BodyBudget & { readonly left: number } {
  let left = capacity;
  return {
    get left() {
      return left;
    },
    take(bytes) {
      const fits = bytes <= left;
      left -= fits ? bytes : 0;
      return fits;
    },
    give(bytes) {
      left += bytes;
    },
  };
}

/** A share of a pool: one holder may have no more than what is left for all others. */
export function createBodyShare(pool: ReturnType<typeof createBodyPool>): BodyBudget & { readonly used: number } {
  let used = 0;
  return {
    get used() {
      return used;
    },
    take(bytes) {
      const fits = used + bytes <= pool.left && pool.take(bytes);
      used += fits ? bytes : 0;
      return fits;
    },
    give(bytes) {
      used -= bytes;
      pool.give(bytes);
    },
  };
}

/** Nearly all bodies come whole, and are then as large as they are. */
const firstCapacity = 512;
const noBytes = new Uint8Array(0);

export class BodyBuffer {
  readonly #budget: BodyBudget;
  readonly #limit: number;
  #bytes: Uint8Array = noBytes;
  #length = 0;

  constructor(budget: BodyBudget, limit: number) {
    this.#budget = budget;
    this.#limit = limit;
  }

  append(slice: Uint8Array): "ok" | "too-large" | "no-room" {
    const length = this.#length + slice.length;
    if (length > this.#limit) {
      return "too-large";
    }
    if (length > this.#bytes.length) {
      const capacity = Math.min(this.#limit, Math.max(firstCapacity, this.#bytes.length * 2, length));
      const growth = capacity - this.#bytes.length;
      if (!this.#budget.take(growth)) {
        return "no-room";
      }
      const grown = new Uint8Array(capacity);
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(slice, this.#length);
    this.#length = length;
    return "ok";
  }

  /** The whole body; the budget is given back. */
  take(): Uint8Array {
    const body = this.#bytes.subarray(0, this.#length);
    this.discard();
    return body;
  }

  discard(): void {
    this.#budget.give(this.#bytes.length);
    this.#bytes = noBytes;
    this.#length = 0;
  }
}
