// What each thread of a process has cost, from the kernel's account of it.
import { readdirSync, readFileSync } from "node:fs";

export interface ThreadUsage {
  /** The kernel's number of the thread; the process's own is the main thread's. */
  readonly id: number;
  readonly name: string;
  /** Seconds on a processor, in steps of a nanosecond. */
  readonly cpu: number;
}

/** Threads that have ended since the listing are left out. */
export function threadUsage(pid: number): readonly ThreadUsage[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((id) => {
    const folder = `/proc/${pid}/task/${id}`;
    try {
      // `stat` counts in hundredths of a second; the scheduler's own count is the same time, finer.
      const [nanoseconds] = readFileSync(`${folder}/schedstat`, "utf8").split(" ");
      return [{ id: Number(id), name: readFileSync(`${folder}/comm`, "utf8").trim(), cpu: Number(nanoseconds) / 1e9 }];
    } catch {
      return [];
    }
  });
}

/** How often the process's main thread has gone to sleep so far: as often as something woke it. */
export function wakeUps(pid: number): number {
  const status = readFileSync(`/proc/${pid}/task/${pid}/status`, "utf8");
  return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1] ?? NaN);
}

/** Seconds that each thread spent between two readings, the busiest first. */
export function spentBetween(before: readonly ThreadUsage[], after: readonly ThreadUsage[]): readonly ThreadUsage[] {
  const was = new Map(before.map(({ id, cpu }) => [id, cpu]));
  return after
    .map((thread) => ({ ...thread, cpu: thread.cpu - (was.get(thread.id) ?? 0) }))
    .sort((a, b) => b.cpu - a.cpu);
}
