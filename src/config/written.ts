// What stands in a config.yaml for each setting of a Config: the way back from config.ts to keys.ts.
import { formatPrefix } from "../ip/index.ts";
import type { Prefix } from "../ip/index.ts";
import type { AcmeConfig, Config, ListenAddress, OidcConfig, PostgresConfig, SqliteConfig } from "./config.ts";
import { formatPrometheusDuration } from "./duration.ts";
import type { keys } from "./keys.ts";
import { duration, fileMode, formatListenAddress, sslMode } from "./values.ts";

export type WrittenValue =
  | string
  | number
  | boolean
  | readonly string[]
  | readonly Readonly<Record<string, string>>[]
  | Readonly<Record<string, string | readonly string[]>>;

/** A value to write; "secret": only when secrets are wanted; "left out": the key has no say in this configuration. */
export type Written =
  | { readonly is: "value"; readonly value: WrittenValue }
  | { readonly is: "secret"; readonly value: WrittenValue }
  | { readonly is: "left out" };

type Keys = typeof keys;
/** Keys that only headscale's readers look for have no setting. */
type Settings = { [Name in keyof Keys]: Keys[Name] extends { readonly noEffect: true } ? never : Name }[keyof Keys];

const value = (text: WrittenValue): Written => ({ is: "value", value: text });
const secret = (text: WrittenValue): Written => ({ is: "secret", value: text });
const leftOut: Written = { is: "left out" };

function listen(address: ListenAddress | null): Written {
  return value(address === null ? "" : formatListenAddress(address));
}

function prefix(of: Prefix | null): Written {
  return value(of === null ? "" : formatPrefix(of));
}

const time = (ms: number): Written => value(duration.show(ms));
const days = (ms: number): Written => value(formatPrometheusDuration(ms));

function sqlite(read: (config: SqliteConfig) => Written) {
  return ({ database }: Config): Written => (database.type === "sqlite" ? read(database) : leftOut);
}

function postgres(read: (config: PostgresConfig) => Written) {
  return ({ database }: Config): Written => (database.type === "postgres" ? read(database) : leftOut);
}

function acme(read: (config: AcmeConfig) => Written) {
  return ({ tls }: Config): Written => (tls.kind === "acme" ? read(tls) : leftOut);
}

function oidc(read: (config: OidcConfig) => Written) {
  return (config: Config): Written => (config.oidc === null ? leftOut : read(config.oidc));
}

function isEmpty(record: object): boolean {
  return Object.keys(record).length === 0;
}

/** Its credentials would be readable in what is printed. */
function hasCredentials(url: string): boolean {
  return URL.canParse(url) && (new URL(url).username !== "" || new URL(url).password !== "");
}

export const written: Readonly<Record<Settings, (config: Config) => Written>> = {
  dataDir: ({ dataDir }) => value(dataDir),
  serverUrl: ({ serverUrl }) => value(serverUrl),
  listenAddr: ({ listenAddr }) => listen(listenAddr),
  metricsListenAddr: ({ metricsListenAddr }) => listen(metricsListenAddr),
  grpcListenAddr: ({ grpcListenAddr }) => listen(grpcListenAddr),
  grpcAllowInsecure: ({ grpcAllowInsecure }) => value(grpcAllowInsecure),
  trustedProxies: ({ trustedProxies }) => value(trustedProxies.map(formatPrefix)),
  noisePrivateKeyPath: ({ noise }) => value(noise.privateKeyPath),
  prefixV4: ({ prefixes }) => prefix(prefixes.v4),
  prefixV6: ({ prefixes }) => prefix(prefixes.v6),
  prefixAllocation: ({ prefixes }) => value(prefixes.allocation),
  derpServerEnabled: ({ derp }) => value(derp.server.enabled),
  derpRegionId: ({ derp }) => value(derp.server.regionId),
  derpRegionCode: ({ derp }) => value(derp.server.regionCode),
  derpRegionName: ({ derp }) => value(derp.server.regionName),
  derpVerifyClients: ({ derp }) => value(derp.server.verifyClients),
  derpStunListenAddr: ({ derp }) => listen(derp.server.stunListenAddr),
  derpPrivateKeyPath: ({ derp }) => value(derp.server.privateKeyPath),
  derpAutomaticRegion: ({ derp }) => value(derp.server.automaticallyAddEmbeddedDerpRegion),
  derpIPv4: ({ derp }) => value(derp.server.ipv4),
  derpIPv6: ({ derp }) => value(derp.server.ipv6),
  derpUrls: ({ derp }) => (derp.urls.some(hasCredentials) ? secret(derp.urls) : value(derp.urls)),
  derpPaths: ({ derp }) => value(derp.paths),
  derpAutoUpdate: ({ derp }) => value(derp.autoUpdateEnabled),
  derpUpdateFrequency: ({ derp }) => time(derp.updateFrequency),
  disableCheckUpdates: ({ disableCheckUpdates }) => value(disableCheckUpdates),
  nodeExpiry: ({ node }) => days(node.expiry),
  nodeInactivity: ({ node }) => time(node.ephemeral.inactivityTimeout),
  haProbeInterval: ({ node }) => time(node.routes.ha.probeInterval),
  haProbeTimeout: ({ node }) => time(node.routes.ha.probeTimeout),
  randomizeClientPort: ({ node }) => value(node.randomizeClientPort),
  databaseType: ({ database }) => value(database.type),
  databaseDebug: ({ database }) => value(database.debug),
  sqlitePath: sqlite(({ path }) => value(path)),
  sqliteWal: sqlite(({ writeAheadLog }) => value(writeAheadLog)),
  sqliteCheckpoint: sqlite(({ walAutocheckpoint }) => value(walAutocheckpoint)),
  postgresHost: postgres(({ host }) => value(host)),
  postgresPort: postgres(({ port }) => value(port)),
  postgresName: postgres(({ name }) => value(name)),
  postgresUser: postgres(({ user }) => value(user)),
  postgresPass: postgres(({ pass }) => (pass === "" ? value("") : secret(pass))),
  postgresSsl: postgres(({ sslMode: mode }) => value(sslMode.show(mode))),
  postgresMaxOpen: postgres(({ maxOpenConns }) => value(maxOpenConns)),
  postgresMaxIdle: postgres(({ maxIdleConns }) => value(maxIdleConns)),
  postgresIdleTime: postgres(({ connMaxIdleTime }) => value(connMaxIdleTime / 1000)),
  acmeUrl: acme(({ directoryUrl }) => value(directoryUrl)),
  acmeEmail: acme(({ email }) => value(email)),
  letsencryptHostname: ({ tls }) => value(tls.kind === "acme" ? tls.hostname : ""),
  letsencryptCacheDir: acme(({ cacheDir }) => value(cacheDir)),
  letsencryptChallenge: acme(({ challengeType }) => value(challengeType)),
  letsencryptListen: acme(({ httpListenAddr }) => listen(httpListenAddr)),
  tlsCertPath: ({ tls }) => value(tls.kind === "files" ? tls.certPath : ""),
  tlsKeyPath: ({ tls }) => value(tls.kind === "files" ? tls.keyPath : ""),
  logLevel: ({ log }) => value(log.level === "silent" ? "disabled" : log.level),
  logFormat: ({ log }) => value(log.format),
  policyMode: ({ policy }) => value(policy.mode),
  policyPath: ({ policy }) => value(policy.path),
  magicDns: ({ dns }) => value(dns.magicDns),
  baseDomain: ({ dns }) => value(dns.baseDomain),
  overrideLocalDns: ({ dns }) => value(dns.overrideLocalDns),
  globalNameservers: ({ dns }) => value(dns.nameservers.global),
  splitNameservers: ({ dns }) => value(dns.nameservers.split),
  searchDomains: ({ dns }) => value(dns.searchDomains),
  // Only one of the two may be there, even if empty.
  extraRecords: ({ dns }) =>
    dns.extraRecordsPath === "" ? value(dns.extraRecords.map((record) => ({ ...record }))) : leftOut,
  extraRecordsPath: ({ dns }) => (dns.extraRecordsPath === "" ? leftOut : value(dns.extraRecordsPath)),
  unixSocket: ({ unixSocket }) => value(unixSocket),
  unixSocketPermission: ({ unixSocketPermission }) => value(fileMode.show(unixSocketPermission)),
  oidcIssuer: (config) => value(config.oidc?.issuer ?? ""),
  oidcOnlyStart: oidc(({ onlyStartIfOidcIsAvailable }) => value(onlyStartIfOidcIsAvailable)),
  oidcClientId: oidc(({ clientId }) => value(clientId)),
  oidcClientSecret: oidc(({ clientSecret }) => (clientSecret === "" ? value("") : secret(clientSecret))),
  // What it holds has been read.
  oidcClientSecretPath: () => leftOut,
  oidcScope: oidc(({ scope }) => value(scope)),
  // Some providers take tokens here.
  oidcExtraParams: oidc(({ extraParams }) => (isEmpty(extraParams) ? value(extraParams) : secret(extraParams))),
  oidcAllowedDomains: oidc(({ allowedDomains }) => value(allowedDomains)),
  oidcAllowedUsers: oidc(({ allowedUsers }) => value(allowedUsers)),
  oidcAllowedGroups: oidc(({ allowedGroups }) => value(allowedGroups)),
  oidcEmailVerified: oidc(({ emailVerifiedRequired }) => value(emailVerifiedRequired)),
  oidcUseExpiry: oidc(({ useExpiryFromToken }) => value(useExpiryFromToken)),
  oidcPkce: oidc(({ pkce }) => value(pkce.enabled)),
  oidcPkceMethod: oidc(({ pkce }) => value(pkce.method)),
  logtail: ({ logtail }) => value(logtail.enabled),
  taildrop: ({ taildrop }) => value(taildrop.enabled),
  autoUpdate: ({ autoUpdate }) => value(autoUpdate.enabled),
  auditRetention: ({ audit }) => days(audit.retention),
  cliAddress: ({ cli }) => value(cli.address),
  cliApiKey: ({ cli }) => (cli.apiKey === "" ? value("") : secret(cli.apiKey)),
  cliTimeout: ({ cli }) => time(cli.timeout),
  cliInsecure: ({ cli }) => value(cli.insecure),
  batchChangeDelay: ({ tuning }) => time(tuning.batchChangeDelay),
  registerExpiration: ({ tuning }) => time(tuning.registerCacheExpiration),
  registerMax: ({ tuning }) => value(tuning.registerCacheMaxEntries),
  // Without a value the server chooses each time it starts.
  controlThreads: ({ control }) => (control.threads === undefined ? leftOut : value(control.threads)),
};
