// Which of many changes has come to how many clients of this process, and when to the last. Each change is an endpoint
// at `watchedAddress`; its port is its number.
import type { MapResponse } from "../src/wire/tailcfg.ts";
import { watchedAddress } from "./protocol.ts";

export interface Arrival {
  readonly change: number;
  /** Clients that were told. */
  readonly count: number;
  /** When the last of them was, ms since 1970. */
  readonly last: number;
}

export class Arrivals {
  #seen = new Map<number, { count: number; last: number }>();
  /** Clients are given the same object for equal messages. */
  #inMessage = new WeakMap<MapResponse, readonly number[]>();

  /** `at` is on performance.now(). */
  note(message: MapResponse, at: number): void {
    let changes = this.#inMessage.get(message);
    if (changes === undefined) {
      changes = watchedChanges(message);
      this.#inMessage.set(message, changes);
    }
    for (const change of changes) {
      const seen = this.#seen.get(change);
      if (seen === undefined) {
        this.#seen.set(change, { count: 1, last: at });
      } else {
        seen.count++;
        seen.last = Math.max(seen.last, at);
      }
    }
  }

  /** All so far; then they are forgotten. */
  take(): readonly Arrival[] {
    const all = [...this.#seen].map(([change, { count, last }]) => ({
      change,
      count,
      last: performance.timeOrigin + last,
    }));
    this.#seen = new Map();
    return all;
  }
}

function watchedChanges(message: MapResponse): readonly number[] {
  const changed = [...(message.PeersChangedPatch ?? []), ...(message.PeersChanged ?? [])];
  return changed.flatMap(({ Endpoints: endpoints }) => {
    const [first] = endpoints ?? [];
    return first?.startsWith(watchedAddress) ? [Number(first.slice(watchedAddress.length))] : [];
  });
}
