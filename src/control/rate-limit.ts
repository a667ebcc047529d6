// Token buckets by name, as many as fit: when the table is full, the ones unused for the longest are forgotten.
// A bucket that was forgotten starts full, so forgetting can only be generous.
import type { Clock } from "../identity/clock.ts";

export interface RateLimit {
  /** Takes a token if there is one; otherwise the milliseconds until there is. 0 is yes. */
  take(name: string): number;
  /** As `take`, without taking. */
  wait(name: string): number;
  /** How many names are remembered. */
  readonly size: number;
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

  /** Time in which an empty bucket fills: one unused for longer is as good as none. */
  const fullAfterMs = (burst / perSecond) * 1000;

  /** The bucket as it is now, if it is remembered. */
  function known(name: string): Bucket | undefined {
    const bucket = buckets.get(name);
    if (bucket !== undefined) {
      const now = clock.elapsed();
      bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) / 1000) * perSecond);
      bucket.at = now;
      // The order of the map is the order of last use.
      buckets.delete(name);
      buckets.set(name, bucket);
    }
    return bucket;
  }

  function create(name: string): Bucket {
    const now = clock.elapsed();
    for (const [oldest, { at }] of buckets) {
      if (buckets.size < names && now - at < fullAfterMs) {
        break;
      }
      buckets.delete(oldest);
    }
    const fresh: Bucket = { tokens: burst, at: now };
    buckets.set(name, fresh);
    return fresh;
  }

  const untilToken = (bucket: Bucket): number =>
    bucket.tokens >= 1 ? 0 : Math.ceil(((1 - bucket.tokens) / perSecond) * 1000);

  return {
    take(name) {
      const bucket = known(name) ?? create(name);
      const wait = untilToken(bucket);
      if (wait === 0) {
        bucket.tokens -= 1;
      }
      return wait;
    },
    get size() {
      return buckets.size;
    },
    wait(name) {
      const bucket = known(name);
      return bucket === undefined ? 0 : untilToken(bucket);
    },
  };
}
