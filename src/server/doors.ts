// The doors of the server: the main listener (nodes, relay, API, pages), the Unix socket, remote gRPC, metrics.
// Without the first there is no server; the others are done without.
import { randomUUID } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { versionDocument } from "../api/build-info.ts";
import { createApi, type Api } from "../api/index.ts";
import type { Config } from "../config/config.ts";
import { createListener, type Listener, type UpgradeHandler } from "../control/listener.ts";
import { publicPages } from "../control/public-pages.ts";
import { systemClock } from "../identity/clock.ts";
import { startMetricsListener } from "../ops/metrics-listener.ts";
import type { Metrics } from "../ops/metrics.ts";
import { machineKeyText } from "../wire/keys.ts";
import { debugPart } from "./debug-part.ts";
import { type Foundation, legacyKeyOf } from "./foundation.ts";
import type { NodeSide } from "./node-side.ts";
import type { RelayPart } from "./relay-part.ts";
import { faultText, StartError, type Startup } from "./startup.ts";
import type { TailnetPart } from "./tailnet-part.ts";

export interface Doors {
  /** As bound. */
  readonly main: number;
  readonly metrics: number | null;
}

export interface DoorsRooms {
  readonly foundation: Foundation;
  readonly tailnetPart: TailnetPart;
  readonly relay: RelayPart;
  readonly nodes: NodeSide;
  readonly metrics: Metrics;
  readonly clientAddress: (request: IncomingMessage) => string;
}

interface TlsPair {
  readonly cert: string;
  readonly key: string;
}

export async function openDoors(startup: Startup, rooms: DoorsRooms): Promise<Doors> {
  const { config, listening } = startup;
  const tls = loadTls(startup);
  const api = openApi(startup, rooms);
  const main = await openMain(startup, rooms, api, tls);
  listening.push(`clients, API and pages on ${tls === undefined ? "http" : "https"}://${hostPort(main)}`);
  listening.push(...rooms.relay.listening);
  await api.listenLocal(config.unixSocket, config.unixSocketPermission).then(
    () => listening.push(`command line on ${config.unixSocket}`),
    (error: unknown) => startup.problem(`the command line cannot reach this server: ${faultText(error)}`),
  );
  await openGrpc(startup, api, tls);
  const metrics = await openMetrics(startup, rooms);
  return { main: main.port, metrics };
}

function openApi(startup: Startup, { foundation, tailnetPart, nodes, clientAddress }: DoorsRooms): Api {
  const { config, log } = startup;
  const { tailnet, policy } = tailnetPart;
  const api = createApi({
    tailnet,
    pending: nodes.pending,
    clock: systemClock,
    policySource: { mode: config.policy.mode, readFile: () => policy.readFile(), problem: () => policy.problem() },
    databaseHealthy: () =>
      foundation.checkHealth().then(
        () => true,
        () => false,
      ),
    policyInput: () => tailnetPart.policyInput(),
    askDraft: (question) => tailnetPart.drafts.ask(question),
    version: packageJson.version,
    clientAddress,
    onFault: (fault) => log.error({ fault: faultText(fault) }, "an API call failed by a fault of the server"),
  });
  startup.whenStopping(() => api.close());
  return api;
}

async function openMain(
  startup: Startup,
  { foundation, tailnetPart, relay, nodes }: DoorsRooms,
  api: Api,
  tls: TlsPair | undefined,
): Promise<AddressInfo> {
  const { config } = startup;
  const { name } = packageJson;
  const pages = publicPages({
    serverUrl: config.serverUrl,
    noiseKey: machineKeyText(foundation.noiseKey.publicRaw),
    legacyKey: legacyKeyOf(foundation.noiseKey),
    pending: nodes.pending,
    checkHealth: () => foundation.checkHealth(),
    isInDoubt: () => tailnetPart.policy.problem() !== undefined,
    version: versionDocument(),
    uuid: randomUUID,
    program: name,
  });
  const { derp } = relay;
  const threads = nodes.edgeThreads;
  const log = startup.log.child("control");
  const upgrades = new Map<string, UpgradeHandler>();
  if (derp !== undefined) {
    upgrades.set("/derp", (request, socket, head) => derp.handleUpgrade(request, socket, head));
  }
  const ts2021 = threads === 0 ? nodes.openEdge() : undefined;
  if (ts2021 !== undefined) {
    upgrades.set("/ts2021", (request, socket, head) => ts2021.upgrade(request, socket, head));
  }
  const listener = createListener({
    handlers: [relay.handle, (request, response) => api.handle(request, response), pages],
    upgrades,
    ...(ts2021 === undefined ? {} : { knock: (socket, handshake) => ts2021.knock(socket, handshake) }),
    log,
    ...(tls === undefined || threads > 0 ? {} : { tls }),
  });
  startup.whenStopping(() => listener.close());
  if (threads === 0) {
    return listenMain(config, (host, port) => listener.listen(host, port));
  }
  const backend = join(config.dataDir, "edge.sock");
  await listenBackend(listener, backend);
  return listenMain(config, async (host, port) => {
    const bound = await nodes.openEdgeThreads({ host, port, backend, ...(tls === undefined ? {} : { tls }) });
    return { address: host, port: bound.port, family: host.includes(":") ? "IPv6" : "IPv4" };
  });
}

/** Where edge threads bring what is not a node's: for this process alone, so that it may tell who the client is. */
async function listenBackend(listener: Listener, path: string): Promise<void> {
  rmSync(path, { force: true });
  const mask = process.umask(0o177);
  // The file comes into being in this call; nothing else of this process runs before the mask is back.
  const listening = listener.listenLocal(path);
  process.umask(mask);
  await listening;
}

async function listenMain(
  config: Config,
  listen: (host: string, port: number) => Promise<AddressInfo>,
): Promise<AddressInfo> {
  const { host, port } = config.listenAddr;
  try {
    return await listen(host, port);
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

function loadTls(startup: Startup): TlsPair | undefined {
  const { tls } = startup.config;
  switch (tls.kind) {
    case "none":
      return undefined;
    case "files":
      try {
        return { cert: readFileSync(tls.certPath, "utf8"), key: readFileSync(tls.keyPath, "utf8") };
      } catch (error) {
        throw new StartError(`the TLS certificate cannot be used: ${faultText(error)}`);
      }
    case "acme":
      startup.problem(
        "certificates by ACME (tls_letsencrypt_hostname) are not built yet: serving without TLS. Put a proxy in front, or set tls_cert_path and tls_key_path",
      );
      return undefined;
  }
}

/** Remote gRPC needs TLS, or the word that it may go without (headscale §1.2). */
async function openGrpc(startup: Startup, api: Api, tls: TlsPair | undefined): Promise<void> {
  const where = startup.config.grpcListenAddr;
  if (where === null || (tls === undefined && !startup.config.grpcAllowInsecure)) {
    return;
  }
  try {
    const bound = await api.listenGrpc({ ...where, ...(tls === undefined ? {} : { tls }) });
    startup.listening.push(
      `remote command line (gRPC${tls === undefined ? " without TLS" : ""}) on ${hostPort(bound)}`,
    );
  } catch (error) {
    startup.problem(`no remote gRPC: ${faultText(error)}; free port ${where.port}, or set grpc_listen_addr`);
  }
}

async function openMetrics(startup: Startup, rooms: DoorsRooms): Promise<number | null> {
  const where = startup.config.metricsListenAddr;
  if (where === null) {
    return null;
  }
  try {
    const { foundation, metrics } = rooms;
    const checkHealth = (): Promise<void> => foundation.checkHealth();
    const listener = await startMetricsListener({ ...where, metrics, checkHealth, debug: debugPart(startup, rooms) });
    startup.whenStopping(() => listener.close());
    startup.listening.push(
      `metrics on http://${hostPort(listener.address)}/metrics, /debug/ for this machine and the tailnet`,
    );
    return listener.address.port;
  } catch (error) {
    startup.problem(`no metrics: ${faultText(error)}; free port ${where.port}, or set metrics_listen_addr`);
    return null;
  }
}

function hostPort({ address, family, port }: AddressInfo): string {
  return `${family === "IPv6" ? `[${address}]` : address}:${port}`;
}
