// The entry of an edge thread: its own listener on the shared port, its own connections, the core on the other side of
// the port. Everything that is not a node's goes to the main thread.
import { parentPort, workerData } from "node:worker_threads";
import { systemClock } from "../identity/clock.ts";
import type { Prefix } from "../ip/index.ts";
import { privateKeyFromRaw } from "../wire/keys.ts";
import { proxyRequests, proxyUpgrade } from "./backend-proxy.ts";
import { createControlCounters, type ControlCounters } from "./counters.ts";
import { createEdge } from "./edge.ts";
import { createPortEvents, createPortReceiver, type Down, type Up } from "./edge-port.ts";
import { createListener } from "./listener.ts";
import type { Log } from "./log.ts";
import { createTs2021 } from "./ts2021.ts";

/** What a thread is started with. */
export interface EdgeThreadData {
  readonly noiseKey: Uint8Array;
  readonly host: string;
  readonly port: number;
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly trustedProxies: readonly Prefix[];
  /** Unix socket of the main thread's listener. */
  readonly backend: string;
  readonly firstRequest: number;
  /** Of admission.ts. */
  readonly bounds: { readonly silent: number; readonly asking: number };
}

export type ToThread = { readonly down: readonly Down[] } | { readonly stop: number };
export type FromThread =
  | { readonly up: readonly Up[] }
  | { readonly listening: number }
  | { readonly failed: { readonly code: string; readonly text: string } }
  | { readonly counters: ControlCounters }
  | { readonly log: { readonly level: keyof Log; readonly fields: Parameters<Log["info"]>[0]; readonly text: string } }
  | { readonly stopped: true };

const countersEveryMs = 1000;

if (parentPort !== null) {
  await run(parentPort, workerData as EdgeThreadData);
}

async function run(port: NonNullable<typeof parentPort>, data: EdgeThreadData): Promise<void> {
  const tell = (message: FromThread): void => port.postMessage(message);
  const say =
    (level: keyof Log): Log["info"] =>
    (fields, text) =>
      tell({ log: { level, fields, text } });
  const log: Log = { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") };
  const counters = createControlCounters();
  const clock = systemClock;
  const edge = createEdge({ clock, log, counters, firstRequest: data.firstRequest });
  edge.connect(createPortEvents(port));
  const receive = createPortReceiver(edge);
  const { trustedProxies, backend } = data;
  const noiseKey = privateKeyFromRaw(data.noiseKey);
  const ts2021 = createTs2021({ noiseKey, edge, clock, log, counters, trustedProxies, bounds: data.bounds });
  const listener = createListener({
    handlers: [proxyRequests(backend)],
    upgrades: new Map([
      ["/ts2021", (...upgrade) => ts2021.upgrade(...upgrade)],
      ["/derp", (...upgrade) => proxyUpgrade(backend, ...upgrade)],
    ]),
    knock: (...knock) => ts2021.knock(...knock),
    log,
    ...(data.tls === undefined ? {} : { tls: data.tls }),
  });
  const ticker = setInterval(() => tell({ counters }), countersEveryMs);
  port.on("message", (message: ToThread) => {
    if ("down" in message) {
      receive(message.down);
      return;
    }
    listener.close();
    void edge.stop(message.stop).then(() => {
      clearInterval(ticker);
      tell({ counters });
      tell({ stopped: true });
      port.close();
    });
  });
  try {
    tell({ listening: (await listener.listen(data.host, data.port, true)).port });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    tell({ failed: { code, text: error instanceof Error ? error.message : String(error) } });
  }
}
