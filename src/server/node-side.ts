// Everything that faces nodes, apart from the listener: netmap, the control core and its edge, logins that wait, and
// what watches over routers and DNS records.
import { randomBytes } from "node:crypto";
import type { Config, DnsConfig } from "../config/config.ts";
import { watchExtraRecords } from "../config/extra-records.ts";
import { boundsOfEach } from "../control/admission.ts";
import { createControlCore, type ControlCore } from "../control/core.ts";
import { type ControlCounters, createControlCounters } from "../control/counters.ts";
import { createEdgeHub } from "../control/edge-hub.ts";
import { createEdge } from "../control/edge.ts";
import type { EdgeThreadData } from "../control/edge-thread.ts";
import { type EdgeThreads, startEdgeThreads } from "../control/edge-threads.ts";
import { startRouteProber } from "../control/route-prober.ts";
import { createTs2021, type Ts2021 } from "../control/ts2021.ts";
import { systemClock } from "../identity/clock.ts";
import { createPending, type Pending } from "../identity/pending.ts";
import { createNetmap, type Netmap } from "../netmap/netmap.ts";
import type { DnsSettings } from "../netmap/settings.ts";
import type { Logger } from "../ops/logger.ts";
import type { Tailnet } from "../tailnet/contract.ts";
import type { PrivateKey } from "../wire/keys.ts";
import type { RelayPart } from "./relay-part.ts";
import type { Startup } from "./startup.ts";

export interface NodeSide {
  readonly core: ControlCore;
  readonly netmap: Netmap;
  readonly pending: Pending;
  readonly counters: ControlCounters;
  /** How many threads hold connections; 0: this one does. */
  readonly edgeThreads: number;
  /** An edge on this thread; called once, where no threads are configured. */
  openEdge(): Ts2021;
  /** Edges on threads of their own, which listen themselves and send everything else to `backend`. */
  openEdgeThreads(where: Pick<EdgeThreadData, "host" | "port" | "tls" | "backend">): Promise<EdgeThreads>;
}

const tickEveryMs = 250;
/** For clients to take in that the server goes. */
const farewellMs = 1000;

export async function openNodeSide(
  startup: Startup,
  rooms: {
    readonly tailnet: Tailnet;
    readonly relay: RelayPart;
    readonly noiseKey: PrivateKey;
    readonly edgeThreads: number;
  },
): Promise<NodeSide> {
  const { config } = startup;
  const { tailnet } = rooms;
  const log = startup.log.child("control");
  const clock = systemClock;
  const counters = createControlCounters();
  const hub = createEdgeHub();
  const netmap = createNetmap({
    tailnet,
    edge: hub,
    settings: {
      domain: new URL(config.serverUrl).hostname,
      baseDomain: config.dns.baseDomain,
      dns: dnsSettings(config.dns),
      derpMap: rooms.relay.map.current(),
      taildrop: config.taildrop.enabled,
      logtail: config.logtail.enabled,
      autoUpdate: config.autoUpdate.enabled,
      prefixes: [config.prefixes.v4, config.prefixes.v6].filter((prefix) => prefix !== null),
    },
    clock,
    random: Math.random,
    defer: (run, afterMs) => void (afterMs <= 0 ? setImmediate(run) : setTimeout(run, afterMs)),
  });
  startup.whenStopping(() => netmap.stop());
  rooms.relay.whenMapChanges((map) => netmap.setDerpMap(map));
  startup.whenStopping(await followExtraRecords(config, netmap, startup.log));
  const ticker = setInterval(() => netmap.tick(), tickEveryMs);
  startup.whenStopping(() => clearInterval(ticker));

  const pending = createPending({
    clock,
    randomBytes,
    ttlMs: config.tuning.registerCacheExpiration,
    capacity: config.tuning.registerCacheMaxEntries,
  });
  const { serverUrl } = config;
  const core = createControlCore({ tailnet, netmap, pending, hub, clock, randomBytes, log, counters, serverUrl });
  startProber(startup, tailnet, core, log);
  const { trustedProxies } = config;
  return {
    core,
    netmap,
    pending,
    counters,
    edgeThreads: rooms.edgeThreads,
    openEdge() {
      const edge = createEdge({ clock, log, counters });
      edge.connect(core.attach(edge));
      startup.whenStopping(() => edge.stop(farewellMs));
      return createTs2021({ noiseKey: rooms.noiseKey, edge, clock, log, counters, trustedProxies });
    },
    async openEdgeThreads(where) {
      const { edgeThreads } = rooms;
      const bounds = boundsOfEach(edgeThreads);
      const data = { ...where, noiseKey: rooms.noiseKey.raw, trustedProxies, bounds };
      const threads = await startEdgeThreads({ threads: edgeThreads, core, log, counters, data });
      startup.whenStopping(() => threads.stop(farewellMs));
      return threads;
    },
  };
}

function startProber(startup: Startup, tailnet: Tailnet, core: ControlCore, log: Logger): void {
  const { probeInterval, probeTimeout } = startup.config.node.routes.ha;
  if (probeInterval > 0) {
    const prober = startRouteProber({
      tailnet,
      calls: core.calls,
      sessions: core.sessions,
      clock: systemClock,
      log,
      intervalMs: probeInterval,
      timeoutMs: probeTimeout,
    });
    startup.whenStopping(() => prober.stop());
  }
}

function dnsSettings(dns: DnsConfig, extraRecords = dns.extraRecords): DnsSettings {
  return {
    magicDns: dns.magicDns,
    nameservers: dns.nameservers.global,
    split: dns.nameservers.split,
    search: dns.searchDomains,
    overrideLocal: dns.overrideLocalDns,
    extraRecords: extraRecords.map(({ name, type, value }) => ({
      Name: name,
      ...(type === "" ? {} : { Type: type }),
      Value: value,
    })),
  };
}

async function followExtraRecords(config: Config, netmap: Netmap, log: Logger): Promise<() => void> {
  const { extraRecordsPath } = config.dns;
  if (extraRecordsPath === "") {
    return () => undefined;
  }
  const watcher = await watchExtraRecords(extraRecordsPath, {
    changed(records) {
      log.info({ records: records.length }, "extra DNS records read");
      netmap.setDns(dnsSettings(config.dns, records));
    },
    problem: (text) => log.warn({}, text),
  });
  return () => watcher.close();
}
