// Time as the relay sees it, so that tests move it by hand.

export interface RelayClock {
  /** Milliseconds that only ever grow. */
  now(): number;
  /** Milliseconds since 1970. */
  wall(): number;
  /** Calls back once; returns the way to call it off. Neither kind keeps the process alive. */
  after(ms: number, call: () => void): () => void;
  /** Calls back again and again. */
  every(ms: number, call: () => void): () => void;
}

export const systemClock: RelayClock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
  every(ms, call) {
    const timer = setInterval(call, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};

/** A clock that stands still until it is moved. */
export interface ManualClock extends RelayClock {
  advance(ms: number): void;
}

export function createManualClock(start = 0): ManualClock {
  let now = start;
  const timers = new Set<{ due: number; readonly period?: number; readonly call: () => void }>();
  const add = (ms: number, call: () => void, period?: number): (() => void) => {
    const timer = { due: now + ms, call, ...(period === undefined ? {} : { period }) };
    timers.add(timer);
    return () => timers.delete(timer);
  };
  return {
    now: () => now,
    wall: () => now,
    after: (ms, call) => add(ms, call),
    every: (ms, call) => add(ms, call, ms),
    advance(ms) {
      const end = now + ms;
      for (;;) {
        const due = [...timers].filter((timer) => timer.due <= end).sort((a, b) => a.due - b.due)[0];
        if (due === undefined) {
          break;
        }
        now = Math.max(now, due.due);
        if (due.period === undefined) {
          timers.delete(due);
        } else {
          due.due += due.period;
        }
        due.call();
      }
      now = end;
    },
  };
}
