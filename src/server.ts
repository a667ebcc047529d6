// The one place that puts the rooms together: from a configuration to a running server and back down again.
// What the server cannot do without (its folder, its Noise key, its store, its main listener) stops the start with a
// plain word; everything else is said loudly and left out. The parts are in server/, in the order of their opening.
import type { IncomingMessage } from "node:http";
import { availableParallelism } from "node:os";
import packageJson from "../package.json" with { type: "json" };
import type { Config } from "./config/config.ts";
import { peerAddress } from "./control/backend-proxy.ts";
import { clientAddress } from "./control/client-address.ts";
import type { ControlCore } from "./control/core.ts";
import type { Pending } from "./identity/pending.ts";
import { createLogger, type Logger } from "./ops/logger.ts";
import { addProcessMetrics } from "./ops/process-metrics.ts";
import { giveSpareMemoryBack, memoryUse, systemTrim } from "./ops/spare-memory.ts";
import { openDoors } from "./server/doors.ts";
import { edgeCount } from "./server/edge-count.ts";
import { openFoundation } from "./server/foundation.ts";
import { createServerMetrics } from "./server/metrics-part.ts";
import { openNodeSide } from "./server/node-side.ts";
import { startRelayPart } from "./server/relay-part.ts";
import { createStartup, type Startup } from "./server/startup.ts";
import { openTailnet } from "./server/tailnet-part.ts";
import type { Tailnet } from "./tailnet/contract.ts";

export { StartError } from "./server/startup.ts";

export interface RunningServer {
  readonly config: Config;
  readonly tailnet: Tailnet;
  readonly pending: Pending;
  readonly calls: ControlCore["calls"];
  readonly log: Logger;
  /** What listens where, for people. */
  readonly listening: readonly string[];
  /** What does not work, for people; the server runs without it. */
  readonly problems: readonly string[];
  /** Ports as bound. */
  readonly ports: { readonly main: number; readonly metrics: number | null };
  /** Reads the policy file again (SIGHUP). */
  reload(): Promise<void>;
  /** Ends within five seconds; everything acknowledged is durable before and after. */
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly log?: Logger;
}

/** Throws StartError with a reason for who runs the server. */
export async function startServer(config: Config, options: StartOptions = {}): Promise<RunningServer> {
  const startup = createStartup(config, options.log ?? createLogger(config.log));
  try {
    return await open(startup);
  } catch (error) {
    await startup.stop();
    throw error;
  }
}

async function open(startup: Startup): Promise<RunningServer> {
  const { config, log } = startup;
  const { version } = packageJson;
  const foundation = await openFoundation(startup);
  const tailnetPart = await openTailnet(startup, foundation.store);
  const { tailnet } = tailnetPart;
  const edgeThreads = edgeCount({
    asked: config.control.threads,
    cores: availableParallelism(),
    nodes: tailnet.nodes().length,
    platform: process.platform,
  });
  const addressOf = (request: IncomingMessage): string =>
    clientAddress(peerAddress(request, edgeThreads > 0), request.headers, config.trustedProxies);
  const relay = await startRelayPart({ config, tailnet, log: log.child("relay"), clientAddress: addressOf });
  startup.whenStopping(() => relay.close());
  startup.problems.push(...relay.problems);
  const nodes = await openNodeSide(startup, { tailnet, relay, noiseKey: foundation.noiseKey, edgeThreads });
  const metrics = createServerMetrics({
    tailnet,
    control: nodes.counters,
    netmap: nodes.netmap,
    relay: relay.counters,
    pendingLogins: () => nodes.pending.list().length,
    policyProblem: () => tailnetPart.policy.problem(),
    now: () => Date.now(),
    version,
  });
  startup.whenStopping(addProcessMetrics(metrics));
  const spare = giveSpareMemoryBack({ trim: await systemTrim(), usage: memoryUse });
  startup.whenStopping(() => spare.stop());
  const ports = await openDoors(startup, { foundation, tailnetPart, relay, nodes, metrics, clientAddress: addressOf });

  const nodeCount = tailnet.nodes().length;
  log.info({ version, url: config.serverUrl, port: ports.main, nodes: nodeCount, edgeThreads }, "serving");
  let stopping: Promise<void> | undefined;
  async function stop(): Promise<void> {
    log.info({}, "stopping");
    await startup.stop();
    log.info({}, "stopped");
  }
  return {
    config,
    tailnet,
    pending: nodes.pending,
    calls: nodes.core.calls,
    log,
    listening: startup.listening,
    problems: startup.problems,
    ports,
    reload: () => tailnetPart.policy.reload(),
    stop: () => (stopping ??= stop()),
  };
}
