// Time limits for tests that share their machine. What comes about sooner or later is waited for generously: nobody
// waits longer than it takes, but for a failure. Where the seconds themselves are the claim, those do not count in which
// work stood waiting for a processor or a disk: they are the machine's, not the server's.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";

/** For what must come about at all: far more than it takes on any machine that a test is run on. */
export const generousSeconds = 90;

export interface Stopwatch {
  /** Seconds since the start, without those in which the machine had no time. */
  seconds(): number;
}

/** However busy the machine, so much of the time that passes counts. */
const leastShare = 0.1;

export function startStopwatch(): Stopwatch {
  const [start, stalledAtStart] = [performance.now(), stalledMs()];
  return {
    seconds() {
      const passed = performance.now() - start;
      return Math.max(passed - (stalledMs() - stalledAtStart), passed * leastShare) / 1000;
    },
  };
}

/** Since the machine's start; what the kernel does not say is 0. */
function stalledMs(): number {
  const waiting = /^some .*total=(\d+)$/m;
  const microseconds = numberIn("/proc/pressure/cpu", waiting) + numberIn("/proc/pressure/io", waiting);
  // Hundredths of a second, of all processors, in which a virtual machine's host did something else.
  const stolen = numberIn("/proc/stat", /^cpu +(?:\d+ ){7}(\d+)/m);
  return microseconds / 1000 + (stolen * 10) / availableParallelism();
}

function numberIn(path: string, pattern: RegExp): number {
  try {
    return Number(pattern.exec(readFileSync(path, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** Lets a while pass in which the machine had time: for what others do by their clocks. */
export async function pause(seconds: number): Promise<void> {
  const watch = startStopwatch();
  do {
    await sleep(seconds * 100);
  } while (watch.seconds() < seconds);
}

/** Most of what is waited for is there after a few turns of the loop; for the rest there is no need to hurry. */
const hastyLooks = 500;

/** Waits for something that sockets and timers bring about; fails loudly after `seconds`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  seconds = generousSeconds,
): Promise<void> {
  const watch = startStopwatch();
  for (let looks = 0; !(await condition()); looks++) {
    if (looks < hastyLooks) {
      await turn();
    } else {
      assert.ok(watch.seconds() < seconds, `not within ${seconds} s: ${what}`);
      await sleep(Math.min(5 + (looks - hastyLooks) / 10, 50));
    }
  }
}
