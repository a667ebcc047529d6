// A request body being gathered, in a buffer of its own: pieces are copied, so that one byte never holds on to a whole
// network buffer. All unfinished bodies of an edge share one budget, because anybody may begin a request.

export interface BodyBudget {
  /** Bytes that may still be taken. */
  left: number;
}

const firstCapacity = 2048;
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
      if (growth > this.#budget.left) {
        return "no-room";
      }
      this.#budget.left -= growth;
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
    this.#budget.left += this.#bytes.length;
    this.#bytes = noBytes;
    this.#length = 0;
  }
}
