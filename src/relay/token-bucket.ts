// A token bucket: `perSecond` tokens flow in, up to `burst`. It may be overdrawn, which is how a stream is slowed down
// after the fact instead of being cut.

export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #at: number;

  constructor(perSecond: number, burst: number, now: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#at = now;
  }

  #refill(now: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) * this.#perSecond) / 1000);
    this.#at = now;
  }

  /** Takes `count` tokens if that many are there. */
  take(count: number, now: number): boolean {
    this.#refill(now);
    if (this.#tokens < count) {
      return false;
    }
    this.#tokens -= count;
    return true;
  }

  /** Takes `count` tokens in any case; returns for how many milliseconds nothing more should be taken. */
  spend(count: number, now: number): number {
    this.#refill(now);
    this.#tokens -= count;
    return this.#tokens >= 0 ? 0 : Math.ceil((-this.#tokens * 1000) / this.#perSecond);
  }

  /** True when it is as full as at the start: nothing is lost by forgetting it. */
  isFull(now: number): boolean {
    this.#refill(now);
    return this.#tokens >= this.#burst;
  }
}
