// A whole server without sockets: store, tailnet, policy, netmap and control as the real one puts them together, under
// simulated time. What a commit has stored lies on a disk that outlives a crash.
import { createHash } from "node:crypto";
import { createControlCore } from "../../src/control/core.ts";
import { createControlCounters } from "../../src/control/counters.ts";
import { createEdgeHub } from "../../src/control/edge-hub.ts";
import type { EdgeEvents, EdgeLink } from "../../src/control/edge-link.ts";
import { silentLog } from "../../src/control/log.ts";
import { createPending } from "../../src/identity/pending.ts";
import { parsePrefix } from "../../src/ip/index.ts";
import type { Prefix } from "../../src/ip/index.ts";
import { createNetmap } from "../../src/netmap/netmap.ts";
import type { Netmap } from "../../src/netmap/netmap.ts";
import type { NetmapSettings } from "../../src/netmap/settings.ts";
import { compilePolicy, createAllowAll, createDenyAll, formatProblems } from "../../src/policy/index.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import type { MemoryDisk } from "../../src/store/memory.ts";
import type { Tailnet } from "../../src/tailnet/contract.ts";
import { createTailnet } from "../../src/tailnet/tailnet.ts";
import type { Random } from "./random.ts";
import type { SimulatedTime } from "./time.ts";

const serverUrl = "http://sim";
export const baseDomain = "sim.internal";
const offlineGraceMs = 5_000;
const ephemeralTimeoutMs = 90_000;

export interface SimulatedServer {
  readonly tailnet: Tailnet;
  readonly netmap: Netmap;
  readonly settings: NetmapSettings;
  attach(link: EdgeLink): EdgeEvents;
  /** As a process dies: nothing of it happens any more. */
  kill(): void;
}

export async function startSimulatedServer(
  time: SimulatedTime,
  random: Random,
  disk: MemoryDisk,
): Promise<SimulatedServer> {
  let dead = false;
  const store = createMemoryStore(
    {
      crashAt: () => dead,
      disk: () => time.sleep(random.below(8)),
    },
    disk,
  );
  const prefixV4 = prefix("100.64.0.0/10");
  const prefixV6 = prefix("fd7a:115c:a1e0::/48");
  const tailnet = await createTailnet({
    store,
    now: () => time.now(),
    secrets: {
      randomBytes: (count) => random.bytes(count),
      sha256: (text) => createHash("sha256").update(text).digest("hex"),
      bcryptVerify: () => false,
    },
    prefixV4,
    prefixV6,
    allocation: "sequential",
    defaultNodeExpiry: null,
    ephemeralTimeout: ephemeralTimeoutMs,
    offlineGrace: offlineGraceMs,
    baseDomain,
    compilePolicy: (text, { users, nodes }) => {
      const outcome = compilePolicy(text, { users, nodes, settings: { serverUrl }, tests: "warn" });
      return outcome.ok ? { ok: true, engine: outcome.engine } : { ok: false, error: formatProblems(outcome.errors) };
    },
    defaultPolicy: createAllowAll,
    closedPolicy: createDenyAll,
  });
  const hub = createEdgeHub();
  const settings: NetmapSettings = {
    domain: "sim",
    baseDomain,
    dns: { magicDns: true, nameservers: [], split: {}, search: [], overrideLocal: false, extraRecords: [] },
    derpMap: { Regions: { 900: { RegionID: 900, RegionCode: "sim", RegionName: "Sim", Nodes: [] } } },
    taildrop: true,
    logtail: false,
    autoUpdate: false,
    prefixes: [prefixV4, prefixV6],
  };
  const netmap = createNetmap({
    tailnet,
    edge: hub,
    settings,
    clock: time,
    random: () => random.next(),
    defer: (run, afterMs) => void time.after(afterMs, () => (dead ? undefined : run())),
    // Small enough that sessions fall behind it now and then.
    horizon: 200 + random.below(2000),
    slice: 1 + random.below(100),
  });
  const pending = createPending({ clock: time, randomBytes: (count) => random.bytes(count) });
  const core = createControlCore({
    tailnet,
    netmap,
    pending,
    hub,
    clock: time,
    randomBytes: (count) => random.bytes(count),
    log: silentLog,
    counters: createControlCounters(),
    serverUrl,
  });
  const tick = (): void => {
    if (!dead) {
      tailnet.tick();
      netmap.tick();
      time.after(500 + random.below(500), tick);
    }
  };
  tick();
  return {
    tailnet,
    netmap,
    settings,
    attach: (link) => core.attach(link),
    kill() {
      dead = true;
      netmap.stop();
    },
  };
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) {
    throw new Error(`${text} is no prefix`);
  }
  return parsed;
}
