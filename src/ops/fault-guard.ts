// A fault of the program in one request must not take the server from everybody: it is logged with its place, and the
// server goes on. Many faults in a short time mean that something is broken for good; then the process ends, so that
// whoever supervises it starts it afresh.
import type { Logger } from "./logger.ts";

export interface FaultGuard {
  /** Notes a fault; false when there have been too many. */
  note(fault: unknown): boolean;
}

const windowMs = 60_000;
const tolerated = 20;

export function createFaultGuard(log: Logger, now: () => number): FaultGuard {
  let since = 0;
  let count = 0;
  return {
    note(fault) {
      if (now() - since > windowMs) {
        since = now();
        count = 0;
      }
      count++;
      log.error(
        { fault: fault instanceof Error ? (fault.stack ?? fault.message) : String(fault), count },
        "a fault of the program; please report it",
      );
      return count <= tolerated;
    },
  };
}

/** Watches this process for faults that nobody caught. `giveUp` is called when there are too many. */
export function guardProcess(log: Logger, giveUp: () => void): void {
  const guard = createFaultGuard(log, () => performance.now());
  const note = (fault: unknown): void => {
    if (!guard.note(fault)) {
      giveUp();
    }
  };
  process.on("uncaughtException", note);
  process.on("unhandledRejection", note);
}
