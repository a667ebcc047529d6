// The edge over real sockets, with a core that only records.
import type { TestContext } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { createManualClock } from "../identity/manual-clock.test-data.ts";
import { generatePrivateKey } from "../wire/keys.ts";
import { createControlCounters } from "./counters.ts";
import { createEdge, type Edge, type EdgeLimits } from "./edge.ts";
import type { EdgeEvents, EdgeLink, EdgeRequest } from "./edge-link.ts";
import { createPortEvents, createPortLink, createPortReceiver, type Down, type Up } from "./edge-port.ts";
import { createListener } from "./listener.ts";
import { silentLog } from "./log.ts";
import { connectNoise, type NoiseClient } from "./noise-client.test-data.ts";
import { textReply } from "./reply.ts";
import { createTs2021 } from "./ts2021.ts";
import { until as eventually } from "../../test/patience.ts";

/** An edge whose core sits in the same thread, or on the other side of a MessagePort. */
export type Seam = "inline" | "port";

export interface EdgeRigOptions extends Partial<EdgeLimits> {
  readonly headersTimeoutMs?: number;
  readonly seam?: Seam;
  /** Milliseconds that pass with every look at the clock. */
  readonly haste?: number;
  /** Clients that may be let in and silent at the same time. */
  readonly silent?: number;
}

/** Connects core and edge over a port; what the core calls is returned. */
function overPort(context: TestContext, edge: Edge, events: EdgeEvents): EdgeLink {
  const { port1, port2 } = new MessageChannel();
  const link = createPortLink(
    () => port1,
    () => events,
  );
  port1.on("message", (message: { up: readonly Up[] }) => link.received(message.up));
  const receive = createPortReceiver(edge);
  port2.on("message", (message: { down: readonly Down[] }) => receive(message.down));
  edge.connect(createPortEvents(port2));
  context.after(() => port1.close());
  return link;
}

export async function edgeRig(context: TestContext, options: EdgeRigOptions = {}) {
  const { headersTimeoutMs = 10_000, seam = "inline", haste = 0, silent = 256, ...limits } = options;
  const clock = createManualClock();
  const counters = createControlCounters();
  const noiseKey = generatePrivateKey();
  let looks = 0;
  const hasty = { ...clock, elapsed: () => clock.elapsed() + haste * looks++ };
  const edge = createEdge({ clock: haste === 0 ? clock : hasty, log: silentLog, counters, limits });
  const seen: string[] = [];
  const requests: EdgeRequest[] = [];
  const rig = {
    clock,
    counters,
    link: edge as EdgeLink,
    noiseKey,
    seen,
    requests,
    port: 0,
    /** Clients that wait for a handshake. */
    waiting: () => 0,
    /** What the core does with a request; by default it says what it got. */
    answer: (request: EdgeRequest): void =>
      rig.link.reply(
        request.id,
        textReply(200, `${request.method} ${request.path} ${request.body.length} ${request.capVersion}`),
      ),
    connect: (machine = generatePrivateKey()): Promise<NoiseClient> =>
      connectNoise({ port: rig.port, serverKey: noiseKey.publicRaw, machine }),
  };
  const events: EdgeEvents = {
    request(request) {
      requests.push(request);
      rig.answer(request);
    },
    cancelled: (id) => seen.push(`cancelled ${id}`),
    blocked: (session) => seen.push(`blocked ${session}`),
    drained: (session) => seen.push(`drained ${session}`),
    closed: (session) => seen.push(`closed ${session}`),
  };
  if (seam === "port") {
    rig.link = overPort(context, edge, events);
  } else {
    edge.connect(events);
  }
  const ts2021 = createTs2021({
    noiseKey,
    edge,
    clock,
    log: silentLog,
    counters,
    trustedProxies: [],
    bounds: { silent, asking: 256 },
  });
  rig.waiting = () => ts2021.waiting;
  const listener = createListener({
    handlers: [],
    upgrades: new Map([["/ts2021", (...args) => ts2021.upgrade(...args)]]),
    knock: (...knock) => ts2021.knock(...knock),
    log: silentLog,
    headersTimeoutMs,
  });
  rig.port = (await listener.listen("127.0.0.1", 0)).port;
  context.after(async () => {
    const stopped = edge.stop(0);
    clock.advance(1);
    await stopped;
    listener.close();
  });
  return rig;
}

export const seams: readonly Seam[] = ["inline", "port"];

/** Waits for a condition that sockets bring about. */
export function until(condition: () => boolean): Promise<void> {
  return eventually(condition.toString(), condition);
}

/** A framed map message. */
export function message(json: unknown): { chunks: Uint8Array[]; length: number } {
  const body = Buffer.from(JSON.stringify(json));
  const head = Buffer.alloc(4);
  head.writeUInt32LE(body.length);
  return { chunks: [head, body], length: 4 + body.length };
}
