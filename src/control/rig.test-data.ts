// A whole control room for tests: real tailnet, netmap, edge and sockets over an in-memory store, on a clock that the
// test moves.
import { createHash, randomBytes } from "node:crypto";
import type { TestContext } from "node:test";
import { createManualClock, type ManualClock } from "../identity/manual-clock.test-data.ts";
import { createPending, type Pending } from "../identity/pending.ts";
import { parsePrefix } from "../ip/index.ts";
import { createNetmap } from "../netmap/netmap.ts";
import { createAllowAll } from "../policy/allow-all.ts";
import type { PolicyEngine } from "../policy/engine.ts";
import { createMemoryStore } from "../store/memory.ts";
import type { Actor, Tailnet } from "../tailnet/contract.ts";
import type { User } from "../tailnet/model.ts";
import type { PolicyWorld } from "../tailnet/options.ts";
import { createTailnet } from "../tailnet/tailnet.ts";
import { generatePrivateKey, machineKeyText, nodeKeyText, type PrivateKey } from "../wire/keys.ts";
import { type ControlCore, createControlCore } from "./core.ts";
import { type ControlCounters, createControlCounters } from "./counters.ts";
import { createEdgeHub } from "./edge-hub.ts";
import { createEdge } from "./edge.ts";
import { createListener } from "./listener.ts";
import { type Log, silentLog } from "./log.ts";
import { connectNoise, type NoiseClient } from "./noise-client.test-data.ts";
import { publicPages } from "./public-pages.ts";
import { createTs2021 } from "./ts2021.ts";
import { until } from "../../test/patience.ts";

export interface ControlRig {
  readonly clock: ManualClock;
  readonly tailnet: Tailnet;
  readonly pending: Pending;
  readonly core: ControlCore;
  readonly counters: ControlCounters;
  readonly noiseKey: PrivateKey;
  readonly port: number;
  readonly user: User;
  healthy: boolean;
  /** What the server says of itself otherwise. */
  inDoubt: boolean;
  connect(machine?: PrivateKey, version?: number): Promise<NoiseClient>;
  /** A fresh auth key of the rig's user. */
  authKey(options?: { reusable?: boolean; ephemeral?: boolean; expiration?: number; tags?: string[] }): Promise<string>;
  /** Lets sockets and rounds of the netmap have their turns. */
  settle(condition: () => boolean): Promise<void>;
}

export const actor: Actor = { kind: "server", id: "test", from: "" };
export const serverUrl = "http://control.test:8080";

export interface RigOptions {
  readonly log?: Log;
  readonly policy?: (world: PolicyWorld) => PolicyEngine;
  readonly mostJoining?: number;
  /** What the store waits for before it commits. */
  readonly beforeCommit?: () => Promise<void>;
}

export async function startRig(context: TestContext, options: RigOptions = {}): Promise<ControlRig> {
  const { log = silentLog, policy = createAllowAll, beforeCommit, ...bounds } = options;
  const store = createMemoryStore();
  const clock = createManualClock();
  const noiseKey = generatePrivateKey();
  const tailnet = await createTailnet({
    store: {
      ...store,
      async commit(groups) {
        await beforeCommit?.();
        return store.commit(groups);
      },
    },
    now: () => clock.now(),
    secrets: {
      randomBytes: (count) => randomBytes(count),
      sha256: (text) => createHash("sha256").update(text).digest("hex"),
      bcryptVerify: () => false,
    },
    prefixV4: parsePrefix("100.64.0.0/10") ?? null,
    prefixV6: parsePrefix("fd7a:115c:a1e0::/48") ?? null,
    allocation: "sequential",
    defaultNodeExpiry: null,
    ephemeralTimeout: 120_000,
    offlineGrace: 10_000,
    baseDomain: "test.example",
    compilePolicy: () => ({ ok: false, error: "no policies here" }),
    defaultPolicy: policy,
    closedPolicy: createAllowAll,
  });
  const made = await tailnet.createUser(actor, { name: "alice" });
  if (!made.ok) {
    throw new Error(made.error.text);
  }
  const startedAt = performance.now();
  const hub = createEdgeHub();
  const netmap = createNetmap({
    tailnet,
    edge: hub,
    settings: {
      domain: "control.test",
      baseDomain: "test.example",
      dns: { magicDns: true, nameservers: [], split: {}, search: [], overrideLocal: false, extraRecords: [] },
      derpMap: { Regions: {} },
      taildrop: true,
      logtail: false,
      autoUpdate: false,
      prefixes: [],
    },
    // Rounds have a pace in real time, on top of the time that the test has moved on.
    clock: { now: () => clock.now() + performance.now() - startedAt },
    random: () => 0.5,
    defer: (run, afterMs) => void (afterMs <= 0 ? setImmediate(run) : setTimeout(run, afterMs)),
  });
  const counters = createControlCounters();
  const pending = createPending({ clock, randomBytes });
  const room = { tailnet, netmap, pending, hub, clock, randomBytes, log, counters, serverUrl };
  const core = createControlCore({ ...room, ...bounds });
  const edge = createEdge({ clock, log, counters });
  edge.connect(core.attach(edge));
  const ts2021 = createTs2021({ noiseKey, edge, clock, log, counters, trustedProxies: [] });
  const rig = { healthy: true, inDoubt: false };
  const listener = createListener({
    handlers: [
      publicPages({
        serverUrl,
        noiseKey: machineKeyText(noiseKey.publicRaw),
        legacyKey: machineKeyText(generatePrivateKey().publicRaw),
        pending,
        checkHealth: () => (rig.healthy ? Promise.resolve() : Promise.reject(new Error("down"))),
        isInDoubt: () => rig.inDoubt,
        version: { version: "1.2.3" },
        uuid: () => "00000000-0000-4000-8000-000000000000",
        program: "hawser",
      }),
    ],
    upgrades: new Map([["/ts2021", (...upgrade) => ts2021.upgrade(...upgrade)]]),
    knock: (...knock) => ts2021.knock(...knock),
    log,
  });
  const { port } = await listener.listen("127.0.0.1", 0);
  context.after(async () => {
    const stopped = edge.stop(0);
    clock.advance(1);
    await stopped;
    listener.close();
    netmap.stop();
    await tailnet.close();
  });
  return Object.assign(rig, {
    clock,
    tailnet,
    pending,
    core,
    counters,
    noiseKey,
    port,
    user: made.value,
    connect: (machine = generatePrivateKey(), version = 142) =>
      connectNoise({ port, serverKey: noiseKey.publicRaw, machine, version }),
    async authKey({ reusable = false, ephemeral = false, expiration, tags = [] } = {}) {
      const key = await tailnet.createPreAuthKey(actor, {
        user: made.value.id,
        reusable,
        ephemeral,
        tags,
        expiration: expiration ?? clock.now() + 3_600_000,
      });
      if (!key.ok) {
        throw new Error(key.error.text);
      }
      return key.value.secret;
    },
    settle: (condition: () => boolean) => until(condition.toString(), condition),
  } satisfies Omit<ControlRig, "healthy" | "inDoubt">);
}

/** Bodies as clients send them. */
export function registerBody(nodeKey: PrivateKey, more: Readonly<Record<string, unknown>> = {}) {
  const zero = `nodekey:${"0".repeat(64)}`;
  return {
    Version: 142,
    NodeKey: nodeKeyText(nodeKey.publicRaw),
    OldNodeKey: zero,
    NLKey: `nlpub:${"0".repeat(64)}`,
    Expiry: "0001-01-01T00:00:00Z",
    Followup: "",
    Hostinfo: { Hostname: "laptop", OS: "linux", BackendLogID: "x" },
    NodeKeySignature: null,
    ...more,
  };
}

export function mapBody(nodeKey: PrivateKey, more: Readonly<Record<string, unknown>> = {}) {
  return {
    Version: 142,
    Compress: "zstd",
    KeepAlive: true,
    NodeKey: nodeKeyText(nodeKey.publicRaw),
    DiscoKey: `discokey:${"ab".repeat(32)}`,
    Stream: false,
    Hostinfo: { Hostname: "laptop", OS: "linux" },
    ...more,
  };
}
