// The one place that puts the rooms together: from a configuration to a running server and back down again.
// What the server cannot do without (its folder, its Noise key, its store, its main listener) stops the start with a
// plain word; everything else is said loudly and left out.
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { createApi } from "./api/index.ts";
import type { Config, DnsConfig } from "./config/config.ts";
import { watchExtraRecords } from "./config/extra-records.ts";
import { clientAddress } from "./control/client-address.ts";
import { createControlCore, type ControlCore } from "./control/core.ts";
import { createControlCounters } from "./control/counters.ts";
import { createEdgeHub } from "./control/edge-hub.ts";
import { createEdge } from "./control/edge.ts";
import { createListener, type Listener } from "./control/listener.ts";
import { publicPages } from "./control/public-pages.ts";
import { startRouteProber } from "./control/route-prober.ts";
import { createTs2021 } from "./control/ts2021.ts";
import { systemClock } from "./identity/clock.ts";
import { loadOrCreateKey } from "./identity/key-file.ts";
import { createPending, type Pending } from "./identity/pending.ts";
import { createNetmap, type Netmap } from "./netmap/netmap.ts";
import type { DnsSettings } from "./netmap/settings.ts";
import { createLogger, type Logger } from "./ops/logger.ts";
import { startMetricsListener } from "./ops/metrics-listener.ts";
import { takeLock } from "./ops/process-lock.ts";
import { addProcessMetrics } from "./ops/process-metrics.ts";
import { createServerMetrics } from "./server/metrics-part.ts";
import { policyTools } from "./server/policy-tools.ts";
import { startPolicyPart } from "./server/policy-part.ts";
import { startRelayPart } from "./server/relay-part.ts";
import { secretTools } from "./server/secret-tools.ts";
import { openStore } from "./server/open-store.ts";
import type { Tailnet } from "./tailnet/contract.ts";
import { createTailnet } from "./tailnet/tailnet.ts";
import type { MachineKey } from "./wire/ids.ts";
import { machineKeyText, privateKeyFromRaw, type PrivateKey } from "./wire/keys.ts";

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

/** Why the server cannot start, in words for who runs it. */
export class StartError extends Error {
  override readonly name = "StartError";
}

const version = packageJson.version;
const tickEveryMs = 250;
/** A node whose stream broke has this long to come back before others are told. */
const offlineGraceMs = 10_000;

export async function startServer(config: Config, options: StartOptions = {}): Promise<RunningServer> {
  const log = options.log ?? createLogger(config.log);
  const undo: (() => unknown)[] = [];
  try {
    return await start(config, log, undo);
  } catch (error) {
    for (const step of undo.reverse()) {
      await step();
    }
    throw error;
  }
}

async function start(config: Config, log: Logger, undo: (() => unknown)[]): Promise<RunningServer> {
  const problems: string[] = [];
  const problem = (text: string): void => {
    problems.push(text);
    log.warn({}, text);
  };

  prepareFolder(config.dataDir);
  const lock = takeLock(join(config.dataDir, "hawser.lock"));
  if (!lock.ok) {
    throw new StartError(`another server (process ${lock.holder}) uses ${config.dataDir}; stop it first`);
  }
  const release = (): void => lock.lock.release();
  undo.push(release);
  const noiseKey = loadNoiseKey(config.noise.privateKeyPath, problem);

  const opening = await openStore(config.database, log.child("store"));
  if (!opening.ok) {
    throw new StartError(`the database cannot be used: ${opening.reason}`);
  }
  const { store } = opening;
  undo.push(() => store.close());
  const policies = policyTools(config);
  const tailnet = await createTailnet({
    store,
    now: () => Date.now(),
    secrets: secretTools,
    prefixV4: config.prefixes.v4,
    prefixV6: config.prefixes.v6,
    allocation: config.prefixes.allocation,
    defaultNodeExpiry: config.node.expiry === 0 ? null : config.node.expiry,
    ephemeralTimeout: config.node.ephemeral.inactivityTimeout,
    offlineGrace: offlineGraceMs,
    baseDomain: config.dns.baseDomain,
    ...policies.tailnetOptions,
    warn: (text) => log.warn({}, text),
  });
  undo.push(() => tailnet.close());
  policies.loaded();
  const policy = await startPolicyPart({ config: config.policy, tailnet, log: log.child("policy") });
  undo.push(() => policy.close());

  const addressOf = (request: IncomingMessage): string =>
    clientAddress(request.socket.remoteAddress, request.headers, config.trustedProxies);
  const relay = await startRelayPart({ config, tailnet, log: log.child("relay"), clientAddress: addressOf });
  undo.push(() => relay.close());
  problems.push(...relay.problems);

  const counters = createControlCounters();
  const clock = systemClock;
  const hub = createEdgeHub();
  const netmap = createNetmap({
    tailnet,
    edge: hub,
    settings: {
      domain: new URL(config.serverUrl).hostname,
      baseDomain: config.dns.baseDomain,
      dns: dnsSettings(config.dns),
      derpMap: relay.map.current(),
      taildrop: config.taildrop.enabled,
      logtail: config.logtail.enabled,
      autoUpdate: config.autoUpdate.enabled,
      prefixes: [config.prefixes.v4, config.prefixes.v6].filter((prefix) => prefix !== null),
    },
    clock,
    random: Math.random,
    defer: (run, afterMs) => void (afterMs <= 0 ? setImmediate(run) : setTimeout(run, afterMs)),
  });
  undo.push(() => netmap.stop());
  relay.whenMapChanges((map) => netmap.setDerpMap(map));
  const stopRecords = await followExtraRecords(config, netmap, log);
  undo.push(stopRecords);

  const pending = createPending({
    clock,
    randomBytes,
    ttlMs: config.tuning.registerCacheExpiration,
    capacity: config.tuning.registerCacheMaxEntries,
  });
  const controlLog = log.child("control");
  const core = createControlCore({
    tailnet,
    netmap,
    pending,
    hub,
    clock,
    randomBytes,
    log: controlLog,
    counters,
    serverUrl: config.serverUrl,
  });
  const edge = createEdge({ clock, log: controlLog, counters });
  edge.connect(core.attach(edge));
  const ts2021 = createTs2021({
    noiseKey,
    edge,
    clock,
    log: controlLog,
    counters,
    trustedProxies: config.trustedProxies,
  });

  const checkHealth = (): Promise<void> => withinASecond(store.ping());
  const api = createApi({
    tailnet,
    pending,
    clock,
    policySource: { mode: config.policy.mode, readFile: () => policy.readFile() },
    databaseHealthy: () =>
      checkHealth().then(
        () => true,
        () => false,
      ),
    checkPolicy: (text) => Promise.resolve(policies.check(text, tailnet)),
    version,
    clientAddress: addressOf,
    onFault: (fault) => log.error({ fault: faultText(fault) }, "an API call failed by a fault of the server"),
  });
  undo.push(() => api.close());

  const pages = publicPages({
    serverUrl: config.serverUrl,
    noiseKey: machineKeyText(noiseKey.publicRaw),
    legacyKey: legacyKeyOf(noiseKey),
    pending,
    checkHealth,
    version: { version, name: packageJson.name, runtime: `node ${process.version}` },
    uuid: randomUUID,
    program: packageJson.name,
  });
  const listener = createListener({
    handlers: [relay.handle, (request, response) => api.handle(request, response), pages],
    upgrades: new Map([
      ["/ts2021", (...upgrade) => ts2021.upgrade(...upgrade)],
      ["/derp", (...upgrade) => relay.derp?.handleUpgrade(...upgrade)],
    ]),
    log: controlLog,
    ...tlsOf(config, problem),
  });
  const { address, port: mainPort } = await listenMain(listener, config);
  undo.push(() => listener.close());

  await api.listenLocal(config.unixSocket, config.unixSocketPermission).catch((error: unknown) => {
    problem(`the command line cannot reach this server: ${faultText(error)}`);
  });

  const tls = tlsOf(config, () => undefined).tls;
  const grpcAddress = await openGrpc();

  /** Remote gRPC needs TLS, or the word that it may go without (headscale §1.2). */
  async function openGrpc(): Promise<string | undefined> {
    const where = config.grpcListenAddr;
    if (where === null || (tls === undefined && !config.grpcAllowInsecure)) {
      return undefined;
    }
    try {
      const bound = await api.listenGrpc({ ...where, ...(tls === undefined ? {} : { tls }) });
      return `${bound.family === "IPv6" ? `[${bound.address}]` : bound.address}:${bound.port}`;
    } catch (error) {
      problem(`no remote gRPC: ${faultText(error)}; free port ${where.port}, or set grpc_listen_addr`);
      return undefined;
    }
  }

  const prober = startProber(config, { tailnet, core, log: controlLog });
  undo.push(prober);
  const metrics = createServerMetrics({
    tailnet,
    control: counters,
    netmap: netmap.counters,
    relay: relay.counters,
    pendingLogins: () => pending.list().length,
    now: () => Date.now(),
    version,
  });
  undo.push(addProcessMetrics(metrics));
  const metricsListener = await openMetrics();
  undo.push(() => metricsListener?.close());

  async function openMetrics(): Promise<Awaited<ReturnType<typeof startMetricsListener>> | undefined> {
    if (config.metricsListenAddr === null) {
      return undefined;
    }
    const { host, port } = config.metricsListenAddr;
    try {
      return await startMetricsListener({ host, port, metrics, checkHealth });
    } catch (error) {
      problem(`no metrics: ${faultText(error)}; free port ${port}, or set metrics_listen_addr`);
      return undefined;
    }
  }

  let ticks = 0;
  const ticker = setInterval(() => {
    ticks++;
    netmap.tick();
    if (ticks % (1000 / tickEveryMs) === 0) {
      tailnet.tick();
    }
  }, tickEveryMs);
  undo.push(() => clearInterval(ticker));

  let stopping: Promise<void> | undefined;
  async function stop(): Promise<void> {
    log.info({}, "stopping");
    clearInterval(ticker);
    prober();
    policy.close();
    stopRecords();
    // First nobody new, then a word to those who are here, then what is pending goes to disk.
    const closing = listener.close();
    await Promise.all([edge.stop(1000), relay.close(), api.close(), metricsListener?.close(), closing]);
    netmap.stop();
    await tailnet.close();
    await store.close();
    release();
    log.info({}, "stopped");
  }

  const listening = [
    `clients, API and pages on ${config.tls.kind === "none" ? "http" : "https"}://${address}:${mainPort}`,
    ...relay.listening,
    `command line on ${config.unixSocket}`,
    ...(grpcAddress === undefined
      ? []
      : [`remote command line (gRPC${tls === undefined ? " without TLS" : ""}) on ${grpcAddress}`]),
    ...(metricsListener === undefined
      ? []
      : [`metrics on http://${metricsListener.address.address}:${metricsListener.address.port}/metrics`]),
  ];
  log.info({ version, url: config.serverUrl, port: mainPort, nodes: tailnet.nodes().length }, "serving");
  return {
    config,
    tailnet,
    pending,
    calls: core.calls,
    log,
    listening,
    problems,
    ports: { main: mainPort, metrics: metricsListener?.address.port ?? null },
    reload: () => policy.reload(),
    stop: () => (stopping ??= stop()),
  };
}

function prepareFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new StartError(
      `the data folder ${folder} cannot be made: ${faultText(error)}; set data_dir to another place`,
    );
  }
}

function loadNoiseKey(path: string, problem: (text: string) => void): PrivateKey {
  try {
    const { key, exposed } = loadOrCreateKey(path);
    if (exposed) {
      problem(
        `${path} can be read by others on this machine; who has it can pose as this server. Run: chmod 600 ${path}`,
      );
    }
    return key;
  } catch (error) {
    throw new StartError(`the Noise key cannot be used: ${faultText(error)}`);
  }
}

/** Clients ask for it and no longer use it; it must not be zero, and stays as long as the Noise key. */
function legacyKeyOf(noiseKey: PrivateKey): MachineKey {
  const seed = createHash("sha256").update("hawser legacy machine key").update(noiseKey.raw).digest();
  return machineKeyText(privateKeyFromRaw(seed).publicRaw);
}

function tlsOf(config: Config, problem: (text: string) => void): { tls?: { cert: string; key: string } } {
  switch (config.tls.kind) {
    case "none":
      return {};
    case "files":
      try {
        return {
          tls: { cert: readFileSync(config.tls.certPath, "utf8"), key: readFileSync(config.tls.keyPath, "utf8") },
        };
      } catch (error) {
        throw new StartError(`the TLS certificate cannot be used: ${faultText(error)}`);
      }
    case "acme":
      problem(
        "certificates by ACME (tls_letsencrypt_hostname) are not built yet: serving without TLS. Put a proxy in front, or set tls_cert_path and tls_key_path",
      );
      return {};
  }
}

async function listenMain(listener: Listener, config: Config): Promise<{ address: string; port: number }> {
  const { host, port } = config.listenAddr;
  try {
    const bound = await listener.listen(host, port);
    return { address: bound.family === "IPv6" ? `[${bound.address}]` : bound.address, port: bound.port };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    const where = `${host === "" ? "all addresses" : host}, port ${port}`;
    const reason =
      code === "EADDRINUSE"
        ? `something else listens on ${where}`
        : code === "EACCES"
          ? `this user may not listen on ${where}`
          : `cannot listen on ${where}: ${faultText(error)}`;
    throw new StartError(`${reason}. Choose another with listen_addr (or HAWSER_LISTEN_ADDR=0.0.0.0:PORT)`);
  }
}

function startProber(
  config: Config,
  rooms: { readonly tailnet: Tailnet; readonly core: ControlCore; readonly log: Logger },
): () => void {
  const { probeInterval, probeTimeout } = config.node.routes.ha;
  if (probeInterval <= 0) {
    return () => undefined;
  }
  const prober = startRouteProber({
    tailnet: rooms.tailnet,
    calls: rooms.core.calls,
    sessions: rooms.core.sessions,
    clock: systemClock,
    log: rooms.log,
    intervalMs: probeInterval,
    timeoutMs: probeTimeout,
  });
  return () => prober.stop();
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

async function withinASecond(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer within a second")), 1000);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function faultText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
