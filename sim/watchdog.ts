// One timer for all clients of a process: whoever waits for something registers a deadline, and a sweep twice a second
// calls those that have passed. Exact to half a second, which is all that 120-second watchdogs need.

export interface Watch {
  /** On the clock of performance.now(). */
  deadline: number;
  readonly expired: () => void;
}

const sweepMs = 500;
const watches = new Set<Watch>();
let timer: NodeJS.Timeout | undefined;

function sweep(): void {
  const now = performance.now();
  for (const watch of watches) {
    if (watch.deadline <= now) {
      watches.delete(watch);
      watch.expired();
    }
  }
  if (watches.size === 0) {
    clearInterval(timer);
    timer = undefined;
  }
}

/** Calls `expired` after `ms`, unless the watch is put off (set `deadline`) or given up before. */
export function watch(ms: number, expired: () => void): Watch {
  const entry = { deadline: performance.now() + ms, expired };
  watches.add(entry);
  timer ??= setInterval(sweep, sweepMs);
  timer.unref();
  return entry;
}

export function giveUp(entry: Watch): void {
  watches.delete(entry);
}
