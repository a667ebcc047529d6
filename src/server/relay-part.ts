// The relay inside this server: DERP on the main listener, STUN, a TLS door of its own where the main listener has no
// TLS, and the map that tells clients of it and of others. Nothing here can keep the server from starting.
import { join } from "node:path";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Config } from "../config/config.ts";
import { loadOrCreateKey } from "../identity/key-file.ts";
import type { Logger } from "../ops/logger.ts";
import { createRelayCounters, type RelayCounters } from "../relay/counters.ts";
import { createDerpMap, embeddedRegion, type DerpMapKeeper } from "../relay/derp-map.ts";
import { createDerpServer, type DerpServer } from "../relay/derp-server.ts";
import { createRelayHttp, type RelayHttpHandler } from "../relay/http.ts";
import type { RelayLog } from "../relay/log.ts";
import { createStunServer, type StunServer } from "../relay/stun-server.ts";
import { createTlsListener, type TlsListener } from "../relay/tls-listener.ts";
import type { Tailnet } from "../tailnet/contract.ts";
import type { NodeKey } from "../wire/ids.ts";
import type { DERPMap, DERPRegion } from "../wire/tailcfg.ts";

export interface RelayPart {
  readonly counters: RelayCounters;
  readonly map: DerpMapKeeper;
  /** Undefined when no relay is configured, or its key cannot be used. */
  readonly derp: DerpServer | undefined;
  readonly handle: RelayHttpHandler;
  /** What listens, for people: `STUN on UDP port 3478`. */
  readonly listening: readonly string[];
  /** What does not work, for people. */
  readonly problems: readonly string[];
  /** From now on called with each map that differs from the one before. */
  whenMapChanges(call: (map: DERPMap) => void): void;
  close(): Promise<void>;
}

export interface RelayPartOptions {
  readonly config: Config;
  readonly tailnet: Tailnet;
  readonly log: Logger;
  readonly clientAddress: (request: IncomingMessage) => string;
}

/** Tried in order, then whatever the system gives: the port is told to clients in the map. */
const tlsPorts = [8443, 8444, 8445, 8446, 0];

export async function startRelayPart(options: RelayPartOptions): Promise<RelayPart> {
  const { config, tailnet, clientAddress } = options;
  const { server } = config.derp;
  const counters = createRelayCounters();
  const problems: string[] = [];
  const listening: string[] = [];
  let tellMap = (_map: DERPMap): void => undefined;
  const log = relayLog(options.log);
  const sourceIp = (request: IncomingMessage): string => clientAddress(request);
  const isNode = (key: NodeKey): boolean => tailnet.nodeByKey(key) !== undefined;

  function problem(text: string): void {
    problems.push(text);
    options.log.warn({}, text);
  }

  const derp = server.enabled ? openDerp() : undefined;
  const stun = derp === undefined ? undefined : await openStun();
  const tls = derp === undefined ? undefined : await openTls(derp);

  function openDerp(): DerpServer | undefined {
    try {
      const { key } = loadOrCreateKey(server.privateKeyPath);
      const admit = (nodeKey: NodeKey): boolean => !server.verifyClients || isNode(nodeKey);
      return createDerpServer({ privateKey: key, admit, counters, log, sourceIp });
    } catch (error) {
      problem(`the relay is off: ${textOf(error)}`);
      return undefined;
    }
  }

  async function openStun(): Promise<StunServer | undefined> {
    if (server.stunListenAddr === null) {
      return undefined;
    }
    const { host, port } = server.stunListenAddr;
    const stun = await createStunServer({
      listen: `${host.includes(":") ? `[${host}]` : host}:${port}`,
      counters,
      log,
    });
    problems.push(...stun.problems);
    if (stun.port === 0) {
      problem(
        `STUN does not run: clients find fewer direct paths. Free UDP port ${port}, or set derp.server.stun_listen_addr`,
      );
      await stun.close();
      return undefined;
    }
    listening.push(`STUN on UDP port ${stun.port}`);
    return stun;
  }

  async function openTls(derp: DerpServer): Promise<TlsListener | undefined> {
    const url = new URL(config.serverUrl);
    if (url.protocol === "https:" || config.tls.kind !== "none") {
      return undefined;
    }
    const host = url.hostname.replace(/^\[|\]$/g, "");
    for (const port of tlsPorts) {
      try {
        const listener = await createTlsListener({
          derp,
          handle: (request: IncomingMessage, response: ServerResponse) => handle(request, response),
          hosts: [host],
          certificateFile: join(config.dataDir, "derp_tls.pem"),
          host: config.listenAddr.host === "0.0.0.0" ? "" : config.listenAddr.host,
          port,
          log,
          onNewPin: () => map.rebuild(),
        });
        listening.push(`relay (TLS, own certificate) on TCP port ${listener.port}`);
        return listener;
      } catch (error) {
        if (!isTaken(error)) {
          problem(`the relay has no TLS: ${textOf(error)}`);
          return undefined;
        }
      }
    }
    return undefined;
  }

  function region(): DERPRegion | undefined {
    if (derp === undefined || !server.automaticallyAddEmbeddedDerpRegion) {
      return undefined;
    }
    return embeddedRegion({
      serverUrl: config.serverUrl,
      regionId: server.regionId,
      regionCode: server.regionCode,
      regionName: server.regionName,
      ...(server.ipv4 === "" ? {} : { ipv4: server.ipv4 }),
      ...(server.ipv6 === "" ? {} : { ipv6: server.ipv6 }),
      ...(stun === undefined ? {} : { stunPort: stun.port }),
      ...(tls === undefined ? {} : { pinned: { port: tls.port, pin: tls.pin() } }),
    });
  }

  const map = await createDerpMap({
    urls: config.derp.urls,
    paths: config.derp.paths,
    embedded: region,
    policy: () => tailnet.policy.derpMap,
    keepFile: join(config.dataDir, "derp_map.json"),
    refreshMs: config.derp.autoUpdateEnabled ? config.derp.updateFrequency : 0,
    onChange: (next) => tellMap(next),
    log,
  }).catch((error: unknown) => {
    // The map is built from what is known; a fault here is one of ours, and still no reason to stop.
    problem(`the DERP map could not be built: ${textOf(error)}`);
    return emptyMap;
  });

  const handle = createRelayHttp({
    derpMap: () => map.current(),
    admit: isNode,
    bootstrapHosts: [new URL(config.serverUrl).hostname],
    sourceIp,
    counters,
  });

  const unsubscribe = tailnet.subscribe(({ changes }) => {
    for (const change of changes) {
      if (change.kind === "node-removed") {
        derp?.disconnect(change.last.nodeKey);
      } else if (change.kind === "node-changed" && change.fields.has("key")) {
        derp?.disconnect(change.before.nodeKey);
      } else if (change.kind === "policy-replaced") {
        map.rebuild();
      }
    }
  });

  return {
    counters,
    map,
    derp,
    handle,
    listening,
    problems,
    whenMapChanges(call) {
      tellMap = call;
    },
    async close() {
      unsubscribe();
      map.close();
      await Promise.all([derp?.close({ graceful: true }), stun?.close(), tls?.close()]);
    },
  };
}

const emptyMap: DerpMapKeeper = {
  current: () => ({ Regions: {} }),
  problems: () => [],
  refresh: () => Promise.resolve(),
  rebuild: () => undefined,
  close: () => undefined,
};

function relayLog(log: Logger): RelayLog {
  return (level, text, fields = {}) => (level === "warn" ? log.warn(fields, text) : log.info(fields, text));
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EADDRINUSE" || error.code === "EACCES");
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
