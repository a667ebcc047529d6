// Gives memory back that was needed for a moment. After a storm of connections the C library's heap is mostly holes: in a
// soak of joins and leaves 26 of 82 MB were in use. Linux' glibc gives the holes back when it is asked (malloc_trim(3)),
// which takes some milliseconds; Node has no other way to ask than its foreign function interface. Where either is
// missing nothing is done, and nothing is lost but memory.
import { performance } from "node:perf_hooks";

export interface SpareMemory {
  /** How often the system was asked, and the longest it took, ms. */
  readonly asked: number;
  readonly longestMs: number;
  stop(): void;
}

export interface SpareMemoryOptions {
  /** Asks the system; undefined where that is not possible. */
  readonly trim: (() => void) | undefined;
  /** Resident bytes of this process. */
  readonly resident: () => number;
  readonly everyMs?: number;
}

/** Growth since the last time, bytes, below which asking is not worth the milliseconds. */
const worthwhile = 8 * 1024 * 1024;
const lookEveryMs = 1000;
/** Growth from one look to the next that means more is to come: asking in the middle of a storm is asking twice … */
const stillGrowing = 1024 * 1024;
/** … but what grows without end is not waited for. */
const mostLooks = 20;

export function giveSpareMemoryBack({ trim, resident, everyMs = lookEveryMs }: SpareMemoryOptions): SpareMemory {
  let asked = 0;
  let longestMs = 0;
  /** After the start there is always something. */
  let floor = 0;
  let before = 0;
  let postponed = 0;
  const look = (): void => {
    if (trim === undefined) {
      return;
    }
    const now = resident();
    const grows = now > before + stillGrowing;
    before = now;
    floor = Math.min(floor, now);
    if (now < floor + worthwhile) {
      return;
    }
    if (grows && postponed < mostLooks) {
      postponed++;
      return;
    }
    postponed = 0;
    const start = performance.now();
    trim();
    asked++;
    longestMs = Math.max(longestMs, performance.now() - start);
    floor = resident();
    before = floor;
  };
  const timer = setInterval(look, everyMs).unref();
  return {
    get asked() {
      return asked;
    },
    get longestMs() {
      return longestMs;
    },
    stop: () => clearInterval(timer),
  };
}

/** The C library's malloc_trim; undefined on other systems and other C libraries. */
export async function systemTrim(): Promise<(() => void) | undefined> {
  if (process.platform !== "linux") {
    return undefined;
  }
  try {
    const { dlopen } = await import("node:ffi");
    const { functions } = dlopen("libc.so.6", { malloc_trim: { arguments: ["u64"], return: "i32" } });
    return () => {
      functions.malloc_trim(0n);
    };
  } catch {
    return undefined;
  }
}
