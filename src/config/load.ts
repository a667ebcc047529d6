// Loads the configuration: finds and reads the file, lays the environment over it, checks it whole. All faults are
// reported together; a configuration with an error in it is never used in part.
import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Config, Finding, LoadedConfig } from "./config.ts";
import { warnOfExposedSecrets } from "./exposed.ts";
import { gather } from "./gather.ts";
import {
  databaseConfig,
  derpConfig,
  logConfig,
  nodeConfig,
  prefixesConfig,
  tlsConfig,
  tuningConfig,
} from "./groups.ts";
import { defaultListenAddress, keys } from "./keys.ts";
import { dnsConfig, oidcConfig, serverUrl } from "./names.ts";
import type { FoundFile, Surroundings } from "./places.ts";
import { defaultDataDir, findConfigFile, surroundings } from "./places.ts";
import type { RawMap } from "./raw.ts";
import { noteUnused, Reading } from "./reading.ts";

/** A file named by a flag or by HAWSER_CONFIG, HEADSCALE_CONFIG; else one where they usually are; else the defaults. */
export async function loadConfig(overrides: Partial<Surroundings> = {}): Promise<LoadedConfig> {
  const around = surroundings(overrides);
  const found = findConfigFile(around);
  const source = await readSource(found);
  if (source.faults.length > 0) {
    return { config: undefined, findings: source.faults, file: found?.path };
  }
  const reading = new Reading(gather(source.root, around.env), {
    configDir: found === undefined ? around.workingDir : dirname(found.path),
    workingDir: around.workingDir,
  });
  const config = build(reading, around, found !== undefined);
  warnOfExposedSecrets(reading, found);
  const findings = reading.findings();
  return {
    config: findings.some(({ severity }) => severity === "error") ? undefined : config,
    findings,
    file: found?.path,
  };
}

export interface ConfigSource {
  readonly root: RawMap;
  readonly faults: readonly Finding[];
}

/** Same limit as yaml-source.ts, checked before the text is in memory. */
const maxConfigBytes = 1024 * 1024;

/** The file's tree. Without a file, an empty one; the YAML library is loaded only when there is something to read. */
export async function readSource(found: FoundFile | undefined): Promise<ConfigSource> {
  const nothing: RawMap = { entries: [] };
  if (found === undefined) {
    return { root: nothing, faults: [] };
  }
  if (found.foreign) {
    return {
      root: nothing,
      faults: [fileFault(null, `${found.path}: only YAML and JSON are read: write it as config.yaml`)],
    };
  }
  let text: string;
  try {
    if (statSync(found.path).size > maxConfigBytes) {
      return { root: nothing, faults: [fileFault(null, `${found.path} is larger than ${maxConfigBytes} bytes`)] };
    }
    text = readFileSync(found.path, "utf8");
  } catch (error) {
    const reason =
      error instanceof Error && "code" in error && error.code === "ENOENT" ? "no such file" : String(error);
    return { root: nothing, faults: [fileFault(null, `cannot read ${found.path}: ${reason}`)] };
  }
  const { readYaml } = await import("./yaml-source.ts");
  const { root, faults } = readYaml(text);
  return {
    root,
    faults: faults.map(({ line, text }) => fileFault(line, line === null ? `${found.path}: ${text}` : text)),
  };
}

function fileFault(line: number | null, text: string): Finding {
  return { key: "", line, severity: "error", kind: "invalid", text };
}

function build(reading: Reading, around: Surroundings, withFile: boolean): Config {
  const dataDir = dataDirOf(reading, around);
  const listenAddr = reading.take(keys.listenAddr) ?? defaultListenAddress;
  const tls = tlsConfig(reading, dataDir, listenAddr);
  const url = serverUrl(reading, around, listenAddr, tls, withFile);
  const noise = { privateKeyPath: reading.set(keys.noisePrivateKeyPath) ?? join(dataDir, "noise_private.key") };
  const grpcAllowInsecure = reading.take(keys.grpcAllowInsecure);
  if (grpcAllowInsecure && tls.kind === "none") {
    reading.warn(
      keys.grpcAllowInsecure,
      "grpc_allow_insecure: remote gRPC is served without TLS, API keys travel in the clear",
    );
  }
  noteUnused(reading);
  return {
    dataDir,
    serverUrl: url,
    listenAddr,
    metricsListenAddr: reading.take(keys.metricsListenAddr),
    grpcListenAddr: reading.take(keys.grpcListenAddr),
    grpcAllowInsecure,
    trustedProxies: reading.take(keys.trustedProxies),
    noise,
    prefixes: prefixesConfig(reading),
    derp: derpConfig(reading, dataDir, noise.privateKeyPath),
    disableCheckUpdates: reading.take(keys.disableCheckUpdates),
    node: nodeConfig(reading),
    database: databaseConfig(reading, dataDir),
    tls,
    log: logConfig(reading),
    // Without a file there is no place for a policy but the database; with one, headscale's default holds.
    policy: {
      mode: reading.set(keys.policyMode) ?? (withFile ? keys.policyMode.fallback : "database"),
      path: reading.take(keys.policyPath),
    },
    dns: dnsConfig(reading, url, withFile),
    unixSocket: unixSocket(reading, dataDir),
    unixSocketPermission: reading.take(keys.unixSocketPermission),
    oidc: oidcConfig(reading, around),
    logtail: { enabled: reading.take(keys.logtail) },
    taildrop: { enabled: reading.take(keys.taildrop) },
    autoUpdate: { enabled: reading.take(keys.autoUpdate) },
    audit: { retention: reading.take(keys.auditRetention) },
    cli: cliGroup(reading),
    tuning: tuningConfig(reading),
    control: { threads: reading.set(keys.controlThreads) },
  };
}

/**
 * headscale's configurations do not know the key: what Hawser keeps besides lies with the database, or with the server's
 * identity where that is on PostgreSQL. The user who ran headscale may write there, and two servers are not one.
 */
export function dataDirOf(reading: Reading, around: Surroundings): string {
  const identity = reading.has(keys.postgresName) ? reading.set(keys.noisePrivateKeyPath) : undefined;
  const file = reading.set(keys.sqlitePath) ?? identity;
  return reading.set(keys.dataDir) ?? (file === undefined ? defaultDataDir(around) : dirname(file));
}

export function cliGroup(reading: Reading): Config["cli"] {
  return {
    address: reading.take(keys.cliAddress),
    apiKey: reading.take(keys.cliApiKey),
    timeout: reading.take(keys.cliTimeout),
    insecure: reading.take(keys.cliInsecure),
  };
}

/** The kernel takes no longer path for a socket. */
const maxSocketPath = 107;

export function unixSocket(reading: Reading, dataDir: string): string {
  const path = reading.set(keys.unixSocket) ?? join(dataDir, "hawser.sock");
  if (Buffer.byteLength(path) > maxSocketPath) {
    reading.warn(keys.unixSocket, `unix_socket: ${path} is longer than ${maxSocketPath} bytes and cannot be opened`);
  }
  return path;
}
