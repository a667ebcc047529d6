// Edges on threads, as the main thread sees them: started, fed, counted, and started anew when one is lost. What was
// open on a lost thread is closed for the core; its clients reconnect to whoever listens.
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { ControlCore } from "./core.ts";
import type { ControlCounters } from "./counters.ts";
import type { EdgeEvents } from "./edge-link.ts";
import { createPortLink } from "./edge-port.ts";
import type { EdgeThreadData, FromThread, ToThread } from "./edge-thread.ts";
import { addLatency } from "./latency.ts";
import type { Log } from "./log.ts";
import { freePort } from "./port-binding.ts";

export interface EdgeThreads {
  /** As bound. */
  readonly port: number;
  stop(ms: number): Promise<void>;
}

export interface EdgeThreadsOptions {
  readonly threads: number;
  readonly core: Pick<ControlCore, "attach">;
  readonly log: Log;
  /** Those of the threads are added up here. */
  readonly counters: ControlCounters;
  readonly data: Omit<EdgeThreadData, "firstRequest">;
}

/** Why a listener could not be opened; `code` is the system's. */
export class EdgeListenError extends Error {
  override readonly name = "EdgeListenError";
  readonly code: string;
  constructor(code: string, text: string) {
    super(text);
    this.code = code;
  }
}

/** What the threads are called, for whoever looks at the process. */
export const edgeThreadName = "edge";
/** One that ends sooner than that after its start is not started anew at once, but this much later. */
const restartAfterMs = 1000;
/** Room for the request numbers of each start. */
const requestsPerStart = 2 ** 36;

export async function startEdgeThreads(options: EdgeThreadsOptions): Promise<EdgeThreads> {
  const { threads } = options;
  // The threads share the port with each other and would share it with any other server too.
  const data = { ...options.data, port: await freePort(options.data.host, options.data.port) };
  const first = startThread(options, data);
  const port = await first.listening;
  // Where the system chose the port, the others take the same.
  const others = Array.from({ length: threads - 1 }, () => startThread(options, { ...data, port }));
  const all = [first, ...others];
  try {
    await Promise.all(others.map((thread) => thread.listening));
  } catch (error) {
    await Promise.all(all.map((thread) => thread.stop(0)));
    throw error;
  }
  return {
    port,
    async stop(ms) {
      await Promise.all(all.map((thread) => thread.stop(ms)));
    },
  };
}

interface EdgeThread {
  readonly listening: Promise<number>;
  stop(ms: number): Promise<void>;
}

function startThread(options: EdgeThreadsOptions, data: Omit<EdgeThreadData, "firstRequest">): EdgeThread {
  const { core, log } = options;
  let worker: Worker | undefined;
  let ended: Promise<void> = Promise.resolve();
  let starts = 0;
  let stopping = false;
  let count = counterOf(options.counters);
  const link = createPortLink(
    () => worker,
    () => events,
  );
  const events: EdgeEvents = core.attach(link);
  let settle: { resolve: (port: number) => void; reject: (error: Error) => void } | undefined;
  const listening = new Promise<number>((resolve, reject) => {
    settle = { resolve, reject };
  });

  function start(): void {
    starts++;
    const startedAt = performance.now();
    const own = new Worker(threadFile(), {
      name: edgeThreadName,
      workerData: { ...data, firstRequest: starts * requestsPerStart } satisfies EdgeThreadData,
      // Node's options are the main thread's; some of them no thread can start with.
      execArgv: [],
    });
    worker = own;
    count = counterOf(options.counters);
    own.on("message", (message: FromThread) => received(message));
    own.on("error", (error: unknown) =>
      log.error({ fault: error instanceof Error ? (error.stack ?? "") : String(error) }, "an edge thread failed"),
    );
    ended = new Promise((resolve) => {
      own.once("exit", () => {
        worker = undefined;
        link.lost();
        count({ connectionsOpen: 0 });
        if (!stopping) {
          log.error({}, "an edge thread ended; its clients reconnect to a fresh one");
          const wait = performance.now() - startedAt < restartAfterMs ? restartAfterMs : 0;
          setTimeout(() => (stopping ? undefined : start()), wait).unref();
        }
        resolve();
      });
    });
  }

  function received(message: FromThread): void {
    if ("up" in message) {
      link.received(message.up);
    } else if ("counters" in message) {
      count(message.counters);
    } else if ("log" in message) {
      log[message.log.level](message.log.fields, message.log.text);
    } else if ("listening" in message) {
      settle?.resolve(message.listening);
    } else if ("failed" in message) {
      log.error({ code: message.failed.code }, `an edge thread cannot listen: ${message.failed.text}`);
      settle?.reject(new EdgeListenError(message.failed.code, message.failed.text));
      // Of a thread that follows a lost one nobody waits for this; it is tried again.
      void worker?.terminate();
    }
  }

  start();
  return {
    listening: listening.catch(async (error: unknown) => {
      stopping = true;
      await worker?.terminate();
      throw error;
    }),
    async stop(ms) {
      stopping = true;
      const own = worker;
      if (own === undefined) {
        return;
      }
      const goodbye: ToThread = { stop: ms };
      // eslint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
      own.postMessage(goodbye);
      const timer = setTimeout(() => void own.terminate(), ms + 1000);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** The thread's program: beside this file among the sources, at the top of the folder of what is built. */
function threadFile(): URL {
  const here = import.meta.url;
  if (here.endsWith(".ts")) {
    return new URL("./edge-thread.ts", here);
  }
  const inChunks = dirname(fileURLToPath(here)).endsWith("chunks");
  return new URL(inChunks ? "../edge-thread.js" : "./edge-thread.js", here);
}

/** Adds what a thread's counters have grown by since last told. */
function counterOf(sum: ControlCounters): (now: Partial<ControlCounters>) => void {
  let before: Partial<ControlCounters> = {};
  return (now) => {
    const { propagation, ...numbers } = now;
    for (const name of Object.keys(numbers) as (keyof typeof numbers)[]) {
      sum[name] += (numbers[name] ?? 0) - (before[name] ?? 0);
    }
    if (propagation !== undefined) {
      addLatency(sum.propagation, propagation, before.propagation);
    }
    before = { ...before, ...now };
  };
}
