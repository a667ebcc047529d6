// Gives memory back that was needed for a moment. After a storm of connections the C library's heap is mostly holes: in a
// soak of joins and leaves 26 of 82 MB were in use. Linux' glibc gives the holes back when it is asked (malloc_trim(3)),
// which takes some milliseconds; Node has no other way to ask than its foreign function interface. Where either is
// missing nothing is done, and nothing is lost but memory.
//
// Asked when memory has grown, and again when there is reason to believe that what was needed then is free now: the
// collector lets go of a storm's buffers seconds to minutes later, and resident memory, which is what the C library keeps
// of them, does not move with that.
import { performance } from "node:perf_hooks";

export interface SpareMemory {
  /** How often the system was asked, and the longest it took, ms. */
  readonly asked: number;
  readonly longestMs: number;
  /** Looks whether to ask, as the clock does. */
  look(): void;
  stop(): void;
}

export interface SpareMemoryOptions {
  /** Asks the system; undefined where that is not possible. */
  readonly trim: (() => void) | undefined;
  /** Bytes of this process. */
  readonly usage: () => MemoryUse;
  readonly everyMs?: number;
}

export interface MemoryUse {
  /** Resident. */
  readonly resident: number;
  /** Outside of the heap, held by JavaScript of the main thread: buffers, above all. */
  readonly external: number;
}

/** Growth since the last time, or let go of since, bytes, below which asking is not worth the milliseconds. */
const worthwhile = 8 * 1024 * 1024;
const lookEveryMs = 1000;
/** Growth from one look to the next that means more is to come: asking in the middle of a storm is asking twice … */
const stillGrowing = 1024 * 1024;
/** … but what grows without end is not waited for. */
const mostLooks = 20;
/**
 * Looks after growth at which the system is asked once more, whatever the main thread's buffers say: other threads
 * have collectors of their own.
 */
const onceMoreAfter = 20;

export function giveSpareMemoryBack({ trim, usage, everyMs = lookEveryMs }: SpareMemoryOptions): SpareMemory {
  let asked = 0;
  let longestMs = 0;
  /** After the start there is always something. */
  let floor = 0;
  let before = 0;
  let postponed = 0;
  /** The most that was held outside of the heap since the system was last asked. */
  let mostHeld = 0;
  let looksUntilOnceMore = Infinity;
  const look = (): void => {
    if (trim === undefined) {
      return;
    }
    const now = usage();
    const grows = now.resident > before + stillGrowing;
    before = now.resident;
    floor = Math.min(floor, now.resident);
    mostHeld = Math.max(mostHeld, now.external);
    looksUntilOnceMore--;
    const hasGrown = now.resident >= floor + worthwhile;
    if (!hasGrown && now.external > mostHeld - worthwhile && looksUntilOnceMore > 0) {
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
    const after = usage();
    floor = after.resident;
    before = after.resident;
    mostHeld = after.external;
    looksUntilOnceMore = hasGrown ? onceMoreAfter : Infinity;
  };
  const timer = setInterval(look, everyMs).unref();
  return {
    get asked() {
      return asked;
    },
    get longestMs() {
      return longestMs;
    },
    look,
    stop: () => clearInterval(timer),
  };
}

export function memoryUse(): MemoryUse {
  const { rss, external } = process.memoryUsage();
  return { resident: rss, external };
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
