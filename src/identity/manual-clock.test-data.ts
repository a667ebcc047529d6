// A clock that stands still until a test moves it.
import type { Clock } from "./clock.ts";

export interface ManualClock extends Clock {
  /** Moves on and runs what is due, in order of its time. */
  advance(ms: number): void;
  /** Timers that have neither run nor been cancelled. */
  readonly timers: number;
}

export function createManualClock(start = 1_790_000_000_000): ManualClock {
  let now = start;
  const timers = new Set<{ readonly at: number; readonly task: () => void }>();
  return {
    now: () => now,
    elapsed: () => now - start,
    after(ms, task) {
      const timer = { at: now + ms, task };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance(ms) {
      const end = now + ms;
      for (;;) {
        const due = [...timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
        if (due === undefined) {
          break;
        }
        now = Math.max(now, due.at);
        timers.delete(due);
        due.task();
      }
      now = end;
    },
    get timers() {
      return timers.size;
    },
  };
}
