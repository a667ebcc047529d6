// Token buckets by name, as many as fit: when the table is full, the ones unused for the longest are forgotten.
// A bucket that was forgotten starts full, so forgetting can only be generous.
import type { Clock } from "../identity/clock.ts";

export interface RateLimit {
  /** Takes a token if there is one; otherwise the milliseconds until there is. 0 is yes. */
  take(name: string): number;
  /** As `take`, without taking. */
  wait(name: string): number;
}

export interface RateLimitOptions {
  readonly clock: Pick<Clock, "elapsed">;
  readonly burst: number;
  readonly perSecond: number;
  /** Names remembered; 10 000. */
  readonly names?: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

export function createRateLimit({ clock, burst, perSecond, names = 10_000 }: RateLimitOptions): RateLimit {
  const buckets = new Map<string, Bucket>();

  function bucketOf(name: string): Bucket {
    const now = clock.elapsed();
    const known = buckets.get(name);
    if (known !== undefined) {
      known.tokens = Math.min(burst, known.tokens + ((now - known.at) / 1000) * perSecond);
      known.at = now;
      // The order of the map is the order of last use.
      buckets.delete(name);
      buckets.set(name, known);
      return known;
    }
    while (buckets.size >= names) {
      const oldest = buckets.keys().next();
      if (oldest.done === true) {
        break;
      }
      buckets.delete(oldest.value);
    }
    const fresh: Bucket = { tokens: burst, at: now };
    buckets.set(name, fresh);
    return fresh;
  }

  const untilToken = (bucket: Bucket): number =>
    bucket.tokens >= 1 ? 0 : Math.ceil(((1 - bucket.tokens) / perSecond) * 1000);

  return {
    take(name) {
      const bucket = bucketOf(name);
      const wait = untilToken(bucket);
      if (wait === 0) {
        bucket.tokens -= 1;
      }
      return wait;
    },
    wait(name) {
      return untilToken(bucketOf(name));
    },
  };
}
