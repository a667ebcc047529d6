// When the next round of telling sessions may begin. On a quiet tailnet at once; after a round, not before several
// times what it cost has passed, so that under load changes merge and telling them takes a bounded part of the
// processor. The cost is the larger of the time measured and of what so many messages are known to cost the edge.

/** Runs `run` once after about `afterMs` (0: in the next turn of the loop), never at once. */
export type Defer = (run: () => void, afterMs: number) => void;

/** Sealing and writing one message, ms. */
const messageCost = 0.025;
/** One part in so many of the time may go into rounds. */
const share = 13;
/** The longest that a change waits for others, ms. */
const maxWait = 500;
/** Timers of the loop may be early by this much, ms. */
const early = 1;

export class Pace {
  readonly #now: () => number;
  readonly #defer: Defer;
  readonly #begin: () => void;
  #notBefore = 0;
  #asked = false;

  /** `begin` starts a round; the caller says `finished` when it is over. */
  constructor(now: () => number, defer: Defer, begin: () => void) {
    this.#now = now;
    this.#defer = defer;
    this.#begin = begin;
  }

  /** A round is wanted, as soon as the pace allows. */
  ask(): void {
    if (!this.#asked) {
      this.#asked = true;
      this.#wait();
    }
  }

  #wait(): void {
    this.#defer(
      () => {
        // A round may have ended since, and put the next one off.
        if (this.#asked && !this.tick()) {
          this.#wait();
        }
      },
      Math.max(0, this.#notBefore - this.#now()),
    );
  }

  /** Begins the round that was asked for if its time has come; also called by the clock, should a timer be lost. */
  tick(): boolean {
    if (!this.#asked || this.#now() < this.#notBefore - early) {
      return false;
    }
    this.#asked = false;
    this.#begin();
    return true;
  }

  /** A round that began at `began` has sent this many messages. */
  finished(began: number, messages: number): void {
    const now = this.#now();
    const cost = Math.max(now - began, messages * messageCost);
    this.#notBefore = now + Math.min(maxWait, cost * (share - 1));
  }
}
