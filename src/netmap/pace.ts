// When the next round of telling sessions may begin. On a quiet tailnet at once. After a round it waits, for two
// reasons: what waits merges, and telling must leave the processor to other work. How long is worth it depends on how
// much merges: ten thousand sessions of which few see the same changes gain nothing by waiting, in a storm of joins
// everybody gains. The cost of a round is the larger of the time measured and of what so many messages are known to
// cost the edge.

/** Runs `run` once after about `afterMs` (0: in the next turn of the loop), never at once. */
export type Defer = (run: () => void, afterMs: number) => void;

/** What a round told. */
export interface Tally {
  messages: number;
  /** Sessions told of a peer, … */
  sessions: number;
  /** … and the changed peers they were told of, counted for each session: as many messages if none had merged. */
  changes: number;
}

/** Sealing and writing one message, ms. */
const messageCost = 0.025;
/** While waiting merges much, one part in so many of the time goes into rounds. */
const share = 13;
/** The longest that a change waits for others, ms: in a storm, … */
const maxWait = 500;
/** … and where nothing merges. Then half of the time may go into rounds. */
const minWait = 50;
/** Ms of waiting for each change a second that a session is told of: at twenty a second six merge. */
const waitPerRate = 15;
/** How fast a past rate is forgotten, ms; changes further apart than that count as this far. */
const memory = 1000;
/** Timers of the loop may be early by this much, ms. */
const early = 1;

export class Pace {
  readonly #now: () => number;
  readonly #defer: Defer;
  readonly #begin: () => void;
  readonly #rate = new MergeRate();
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

  /** A round that began at `began` is over. */
  finished(began: number, tally: Readonly<Tally>): void {
    const now = this.#now();
    const cost = Math.max(now - began, tally.messages * messageCost);
    const worthwhile = Math.max(minWait, this.#rate.after(began, tally) * waitPerRate);
    this.#notBefore = now + Math.min(maxWait, cost * (share - 1), Math.max(cost, worthwhile));
  }
}

/**
 * How many changes a second reach a session among those that are told of any. Taken from what merged beyond one change
 * for each session, so that changes for different sessions do not count as many for one.
 */
class MergeRate {
  #last = -Infinity;
  #merged = 0;
  /** Sessions told, by the seconds in which their changes came. */
  #sessionSeconds = 0;

  after(began: number, { sessions, changes }: Readonly<Tally>): number {
    const gap = Math.max(1, began - this.#last);
    const counted = Math.min(memory, gap);
    this.#last = began;
    const kept = Math.exp(-gap / memory);
    this.#merged = this.#merged * kept + changes - sessions;
    this.#sessionSeconds = this.#sessionSeconds * kept + (sessions * counted) / 1000;
    return this.#sessionSeconds === 0 ? 0 : this.#merged / this.#sessionSeconds;
  }
}
