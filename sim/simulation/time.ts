// Simulated time: events wait in a queue and happen one after the other, everything that follows from one (promises)
// before the next. Among events of one moment the seed decides which is first.
import type { Clock } from "../../src/identity/clock.ts";
import type { Random } from "./random.ts";

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  cancelled: boolean;
}

export class SimulatedTime implements Clock {
  readonly #random: Random;
  readonly #start: number;
  #now: number;
  /** A binary heap by time, then by lot. */
  readonly #heap: Event[] = [];

  constructor(start: number, random: Random) {
    this.#start = start;
    this.#now = start;
    this.#random = random;
  }

  now(): number {
    return this.#now;
  }

  elapsed(): number {
    return this.#now - this.#start;
  }

  after(ms: number, task: () => void): () => void {
    const event = { at: this.#now + Math.max(0, ms), order: this.#random.next(), run: task, cancelled: false };
    this.#push(event);
    return () => {
      event.cancelled = true;
    };
  }

  /** Resolves after `ms` of simulated time. */
  sleep(ms: number): Promise<void> {
    return new Promise((wake) => {
      this.after(ms, wake);
    });
  }

  /** Lets everything happen up to `end`. */
  async runUntil(end: number): Promise<void> {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.at > end) {
        this.#now = Math.max(this.#now, end);
        return;
      }
      this.#pop();
      if (!next.cancelled) {
        this.#now = Math.max(this.#now, next.at);
        next.run();
        await settled();
      }
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(event, above)) {
        break;
      }
      heap[index] = above;
      index = parent;
    }
    heap[index] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) {
      return;
    }
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      const [a, b] = [heap[left], heap[left + 1]];
      const child = b !== undefined && a !== undefined && isBefore(b, a) ? b : a;
      if (child === undefined || !isBefore(child, last)) {
        break;
      }
      heap[index] = child;
      index = child === a ? left : left + 1;
    }
    heap[index] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at === b.at ? a.order < b.order : a.at < b.at;
}

/** All promises that can go on have gone on. */
function settled(): Promise<void> {
  return new Promise((done) => setImmediate(done));
}
