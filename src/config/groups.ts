// The groups of the configuration that have rules among their keys: database, TLS, relay, nodes.
import { join } from "node:path";
import type {
  Config,
  DatabaseConfig,
  DerpConfig,
  ListenAddress,
  LogConfig,
  NodeConfig,
  PrefixesConfig,
  TlsConfig,
} from "./config.ts";
import { comparePrefix, formatPrefix, parsePrefix, prefixCovers } from "../ip/index.ts";
import type { Prefix } from "../ip/index.ts";
import { formatGoDuration } from "./duration.ts";
import { keys } from "./keys.ts";
import type { KeySpec } from "./keys.ts";
import type { Reading } from "./reading.ts";
import { setAmong } from "./reading.ts";

function fixedPrefix(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) {
    throw new TypeError(`not a prefix: ${text}`);
  }
  return prefix;
}

const clientV4 = fixedPrefix("100.64.0.0/10");
const clientV6 = fixedPrefix("fd7a:115c:a1e0::/48");

export function prefixesConfig(reading: Reading): PrefixesConfig {
  const [v4Set, v6Set] = [reading.has(keys.prefixV4), reading.has(keys.prefixV6)];
  const v4 = familyPrefix(reading, keys.prefixV4, 4, v6Set ? null : clientV4);
  const v6 = familyPrefix(reading, keys.prefixV6, 6, v4Set ? null : clientV6);
  if (v4 === null && v6 === null) {
    reading.error(keys.prefixV4, "no IPv4 or IPv6 prefix configured, minimum one prefix is required");
  }
  return { v4, v6, allocation: reading.take(keys.prefixAllocation) };
}

function familyPrefix(
  reading: Reading,
  spec: KeySpec<Prefix | null>,
  family: 4 | 6,
  fallback: Prefix | null,
): Prefix | null {
  const prefix = reading.set(spec);
  if (prefix === undefined) {
    return fallback;
  }
  if (prefix === null) {
    return null;
  }
  if (prefix.addr.family !== family) {
    reading.error(spec, `${spec.key}: ${formatPrefix(prefix)} is not an IPv${family} prefix`);
    return null;
  }
  const expected = family === 4 ? clientV4 : clientV6;
  if (!prefixCovers(expected, prefix)) {
    reading.warn(
      spec,
      `${spec.key}: ${formatPrefix(prefix)} lies outside ${formatPrefix(expected)}: official clients treat only addresses inside as the tailnet's, and some things will not work`,
    );
  }
  return comparePrefix(prefix, expected) === 0 ? expected : prefix;
}

const sqliteKeys = [keys.sqlitePath, keys.sqliteWal, keys.sqliteCheckpoint];
const postgresKeys = [keys.postgresHost, keys.postgresName, keys.postgresUser, keys.postgresPass, keys.postgresPort];

export function databaseConfig(reading: Reading, dataDir: string): DatabaseConfig {
  const type = reading.take(keys.databaseType);
  const debug = reading.take(keys.databaseDebug);
  const sqlite = {
    path: reading.set(keys.sqlitePath) ?? join(dataDir, "db.sqlite"),
    writeAheadLog: reading.take(keys.sqliteWal),
    walAutocheckpoint: reading.take(keys.sqliteCheckpoint),
  };
  const postgres = {
    host: reading.take(keys.postgresHost),
    port: reading.take(keys.postgresPort),
    name: reading.take(keys.postgresName),
    user: reading.take(keys.postgresUser),
    pass: reading.take(keys.postgresPass),
    sslMode: reading.take(keys.postgresSsl),
    maxOpenConns: reading.take(keys.postgresMaxOpen),
    maxIdleConns: reading.take(keys.postgresMaxIdle),
    connMaxIdleTime: reading.take(keys.postgresIdleTime) * 1000,
  };
  if (type === "postgres") {
    for (const spec of [keys.postgresHost, keys.postgresName].filter((spec) => reading.take(spec) === "")) {
      reading.error(spec, `${spec.key} must be set when database.type is postgres`);
    }
    return { type, debug, ...postgres };
  }
  const meant = setAmong(reading, postgresKeys.slice(0, 3));
  if (!reading.has(keys.databaseType) && meant.length > 0 && setAmong(reading, sqliteKeys).length === 0) {
    reading.error(
      keys.databaseType,
      `${meant.join(", ")} is set but database.type is not: set database.type: postgres`,
    );
  }
  return { type: "sqlite", debug, ...sqlite };
}

export function tlsConfig(reading: Reading, dataDir: string, listenAddr: ListenAddress): TlsConfig {
  const hostname = reading.take(keys.letsencryptHostname);
  const [certPath, keyPath] = [reading.take(keys.tlsCertPath), reading.take(keys.tlsKeyPath)];
  const acme = {
    cacheDir: reading.set(keys.letsencryptCacheDir) ?? join(dataDir, "acme"),
    challengeType: reading.take(keys.letsencryptChallenge),
    httpListenAddr: reading.take(keys.letsencryptListen) ?? { host: "", port: 80 },
    directoryUrl: reading.take(keys.acmeUrl),
    email: reading.take(keys.acmeEmail),
  };
  if (hostname !== "" && (certPath !== "" || keyPath !== "")) {
    reading.error(
      keys.letsencryptHostname,
      "set either tls_letsencrypt_hostname or tls_cert_path/tls_key_path, not both",
    );
  }
  if ((certPath === "") !== (keyPath === "")) {
    const missing = certPath === "" ? keys.tlsCertPath : keys.tlsKeyPath;
    reading.error(missing, "tls_cert_path and tls_key_path must be set together");
  }
  if (hostname !== "") {
    if (acme.challengeType === "TLS-ALPN-01" && listenAddr.port !== 443) {
      reading.warn(
        keys.letsencryptChallenge,
        "TLS-ALPN-01 is answered on port 443, but listen_addr has another: it must be forwarded from there",
      );
    }
    return { kind: "acme", hostname, ...acme };
  }
  return certPath === "" || keyPath === "" ? { kind: "none" } : { kind: "files", certPath, keyPath };
}

export function derpConfig(reading: Reading, dataDir: string, noiseKeyPath: string): DerpConfig {
  const urls = reading.take(keys.derpUrls);
  const paths = reading.take(keys.derpPaths);
  const enabled = reading.set(keys.derpServerEnabled) ?? (urls.length === 0 && paths.length === 0);
  const server = {
    enabled,
    regionId: reading.take(keys.derpRegionId),
    regionCode: reading.take(keys.derpRegionCode),
    regionName: reading.take(keys.derpRegionName),
    verifyClients: reading.take(keys.derpVerifyClients),
    stunListenAddr: reading.take(keys.derpStunListenAddr),
    privateKeyPath: reading.set(keys.derpPrivateKeyPath) ?? join(dataDir, "derp_server_private.key"),
    automaticallyAddEmbeddedDerpRegion: reading.take(keys.derpAutomaticRegion),
    ipv4: reading.take(keys.derpIPv4),
    ipv6: reading.take(keys.derpIPv6),
  };
  if (enabled) {
    checkRelay(reading, server, noiseKeyPath, paths);
  } else if (urls.length === 0 && paths.length === 0) {
    reading.warn(
      keys.derpServerEnabled,
      "there is no relay: derp.server.enabled is false, and derp.urls and derp.paths are empty; nodes that cannot reach each other directly never will",
    );
  }
  return {
    server,
    urls,
    paths,
    autoUpdateEnabled: reading.take(keys.derpAutoUpdate),
    updateFrequency: Math.max(0, reading.take(keys.derpUpdateFrequency)),
  };
}

function checkRelay(
  reading: Reading,
  server: DerpConfig["server"],
  noiseKeyPath: string,
  paths: readonly string[],
): void {
  if (server.privateKeyPath === noiseKeyPath) {
    reading.error(
      keys.derpPrivateKeyPath,
      "derp.server.private_key_path and noise.private_key_path must be two different files",
    );
  }
  if (server.stunListenAddr === null) {
    reading.warn(
      keys.derpStunListenAddr,
      "derp.server.stun_listen_addr is empty: without STUN, nodes behind NAT rarely find a direct way",
    );
  }
  if (!server.automaticallyAddEmbeddedDerpRegion && paths.length === 0) {
    reading.error(
      keys.derpAutomaticRegion,
      "disabling derp.server.automatically_add_embedded_derp_region requires to configure the derp map in derp.paths",
    );
  }
  if (server.regionId === 0) {
    reading.error(keys.derpRegionId, "derp.server.region_id must not be 0: clients take that for no region");
  }
}

/** Ephemeral nodes must outlive the longest gap between two signs of life. */
const leastInactivity = 65_000;

export function nodeConfig(reading: Reading): NodeConfig {
  const inactivityTimeout = reading.take(keys.nodeInactivity);
  if (inactivityTimeout <= leastInactivity) {
    reading.error(
      keys.nodeInactivity,
      `node.ephemeral.inactivity_timeout (${formatGoDuration(inactivityTimeout)}) is set too low, must be more than 1m5s`,
    );
  }
  return {
    expiry: reading.take(keys.nodeExpiry),
    ephemeral: { inactivityTimeout },
    routes: { ha: probing(reading) },
    randomizeClientPort: reading.take(keys.randomizeClientPort),
  };
}

function probing(reading: Reading): NodeConfig["routes"]["ha"] {
  const probeInterval = Math.max(0, reading.take(keys.haProbeInterval));
  const given = reading.set(keys.haProbeTimeout);
  // A shorter interval without a timeout of its own brings a shorter timeout along.
  const probeTimeout = given ?? Math.max(1000, Math.min(keys.haProbeTimeout.fallback, probeInterval - 1000));
  if (probeInterval > 0) {
    if (probeInterval < 2000) {
      reading.error(
        keys.haProbeInterval,
        `node.routes.ha.probe_interval (${formatGoDuration(probeInterval)}) is set too low, must be at least 2s`,
      );
    }
    if (probeTimeout < 1000 || probeTimeout >= probeInterval) {
      reading.error(
        keys.haProbeTimeout,
        `node.routes.ha.probe_timeout (${formatGoDuration(probeTimeout)}) must be at least 1s and less than node.routes.ha.probe_interval (${formatGoDuration(probeInterval)})`,
      );
    }
  }
  return { probeInterval, probeTimeout };
}

const levels: Readonly<Record<string, LogConfig["level"]>> = {
  trace: "trace",
  debug: "debug",
  info: "info",
  warn: "warn",
  warning: "warn",
  error: "error",
  fatal: "fatal",
  panic: "fatal",
  disabled: "silent",
};

export function logConfig(reading: Reading): LogConfig {
  const level = levels[reading.take(keys.logLevel).toLowerCase()];
  if (level === undefined) {
    reading.warn(keys.logLevel, `log.level: "${reading.take(keys.logLevel)}" is no level: using info`);
  }
  const format = reading.take(keys.logFormat);
  if (format !== "text" && format !== "json") {
    reading.warn(keys.logFormat, `log.format: "${format}" is neither text nor json: using text`);
  }
  return { level: level ?? "info", format: format === "json" ? "json" : "text" };
}

export function tuningConfig(reading: Reading): Config["tuning"] {
  return {
    batchChangeDelay: Math.max(0, reading.take(keys.batchChangeDelay)),
    // 0 means the default in headscale too.
    registerCacheExpiration: reading.take(keys.registerExpiration) || keys.registerExpiration.fallback,
    registerCacheMaxEntries: reading.take(keys.registerMax) || keys.registerMax.fallback,
  };
}
