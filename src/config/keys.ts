// Every key of config.yaml: how it is read, what it is without one, and what it means. The loader, `configtest` and
// docs/configuration.md all come from this table. Old spellings stand in old-keys.ts.
import type { ExtraRecord, ListenAddress } from "./config.ts";
import type { Reader } from "./values.ts";
import {
  bool,
  duration,
  fileMode,
  int,
  keyLife,
  listen,
  oneOf,
  path,
  prefix,
  proxyList,
  records,
  retention,
  splitDns,
  sslMode,
  text,
  textList,
  textMap,
  urlList,
  workingPath,
  workingPathList,
} from "./values.ts";

export interface KeySpec<T> {
  /** Dotted, lower case. */
  readonly key: string;
  readonly reader: Reader<T>;
  /** Undefined: follows from other keys, as `fallbackText` says. */
  readonly fallback: T | undefined;
  /** The default, for readers. */
  readonly fallbackText: string;
  /** What the key means, in a sentence or two. */
  readonly doc: string;
  /** Never shown. */
  readonly secret: boolean;
  /** Accepted for headscale's sake; nothing here depends on it. */
  readonly noEffect: boolean;
}

/** A key with a value of its own when it is not set. */
interface SetKey<T> extends KeySpec<T> {
  readonly fallback: T;
}

function key<T>(name: string, reader: Reader<T>, fallback: NoInfer<T>, doc: string): SetKey<T> {
  const shown = reader.show(fallback);
  return {
    key: name,
    reader,
    fallback,
    fallbackText: shown === "" ? '""' : shown,
    doc,
    secret: false,
    noEffect: false,
  };
}

/** A key whose default depends on others. */
function derived<T>(name: string, reader: Reader<T>, fallbackText: string, doc: string): KeySpec<T> {
  return { key: name, reader, fallback: undefined, fallbackText, doc, secret: false, noEffect: false };
}

function secret(name: string, doc: string): SetKey<string> {
  return { ...key(name, text, "", doc), secret: true };
}

interface UnusedKey extends KeySpec<unknown> {
  readonly noEffect: true;
}

function unused(name: string, type: string, doc: string): UnusedKey {
  const reader: Reader<unknown> = {
    type,
    read: (raw) => ({ ok: true, value: raw }),
    fromEnvironment: (text) => text,
    show: () => "",
  };
  return { key: name, reader, fallback: undefined, fallbackText: "–", doc, secret: false, noEffect: true };
}

/** Where the server listens when nothing says otherwise. */
export const defaultListenAddress: ListenAddress = { host: "0.0.0.0", port: 8080 };
const minute = 60_000;

export const keys = {
  dataDir: derived(
    "data_dir",
    path,
    "the folder of database.sqlite.path, if set; else data in the checkout; installed: /var/lib/hawser",
    "The folder for everything the server keeps: keys, database, socket, certificates. Not a key of headscale's. On PostgreSQL, where neither this nor a database file is named, it is the folder of noise.private_key_path.",
  ),
  serverUrl: derived(
    "server_url",
    text,
    "http:// and the machine's first address and the port",
    "The URL clients use, http:// or https://. Its host is also the embedded relay's name.",
  ),
  listenAddr: key("listen_addr", listen, defaultListenAddress, "Where clients, browsers and the REST API connect."),
  metricsListenAddr: key(
    "metrics_listen_addr",
    listen,
    null,
    "Where metrics and debug pages are served. Empty: nowhere.",
  ),
  grpcListenAddr: key(
    "grpc_listen_addr",
    listen,
    { host: "", port: 50443 },
    "Where remote gRPC connects. Opened only with TLS or grpc_allow_insecure.",
  ),
  grpcAllowInsecure: key(
    "grpc_allow_insecure",
    bool,
    false,
    "Serve remote gRPC without TLS: API keys travel in the clear.",
  ),
  trustedProxies: key(
    "trusted_proxies",
    proxyList,
    [],
    "Proxies (as prefixes) whose True-Client-IP, X-Real-IP and X-Forwarded-For are believed. From others these headers are ignored.",
  ),
  noisePrivateKeyPath: derived(
    "noise.private_key_path",
    path,
    "noise_private.key in data_dir",
    "The server's identity towards clients. Made when absent; losing it cuts off every client.",
  ),
  prefixV4: derived(
    "prefixes.v4",
    prefix,
    "100.64.0.0/10 unless prefixes.v6 is set",
    "Nodes' IPv4 addresses come from here. Clients expect a part of 100.64.0.0/10.",
  ),
  prefixV6: derived(
    "prefixes.v6",
    prefix,
    "fd7a:115c:a1e0::/48 unless prefixes.v4 is set",
    "Nodes' IPv6 addresses come from here. Clients expect a part of fd7a:115c:a1e0::/48.",
  ),
  prefixAllocation: key(
    "prefixes.allocation",
    oneOf(
      ["sequential", "random"],
      (text) => `invalid prefix allocation strategy: "${text}", allowed options: sequential, random`,
    ),
    "sequential",
    "How the next address is chosen.",
  ),
  derpServerEnabled: derived(
    "derp.server.enabled",
    bool,
    "true; false when derp.urls or derp.paths is set",
    "Run a relay (DERP and STUN) inside this server.",
  ),
  derpRegionId: key("derp.server.region_id", int(0, 65535), 999, "The embedded relay's region number."),
  derpRegionCode: key(
    "derp.server.region_code",
    text,
    "hawser",
    "The embedded relay's short name, as clients show it.",
  ),
  derpRegionName: key(
    "derp.server.region_name",
    text,
    "Hawser embedded relay",
    "The embedded relay's name, as clients show it.",
  ),
  derpVerifyClients: key("derp.server.verify_clients", bool, true, "Relay only for nodes of this server."),
  derpStunListenAddr: key(
    "derp.server.stun_listen_addr",
    listen,
    { host: "0.0.0.0", port: 3478 },
    "UDP address where the embedded relay answers STUN. Empty: it does not, and clients find each other less often.",
  ),
  derpPrivateKeyPath: derived(
    "derp.server.private_key_path",
    path,
    "derp_server_private.key in data_dir",
    "The embedded relay's identity. Made when absent; must not be the Noise key.",
  ),
  derpAutomaticRegion: key(
    "derp.server.automatically_add_embedded_derp_region",
    bool,
    true,
    "Tell clients of the embedded relay. When false, derp.paths must describe it.",
  ),
  derpIPv4: key(
    "derp.server.ipv4",
    text,
    "",
    "The embedded relay's IPv4 address, for clients that cannot resolve its name.",
  ),
  derpIPv6: key(
    "derp.server.ipv6",
    text,
    "",
    "The embedded relay's IPv6 address, for clients that cannot resolve its name.",
  ),
  derpUrls: key(
    "derp.urls",
    urlList,
    [],
    "Relay maps in JSON to fetch. Later ones win where they name the same region.",
  ),
  derpPaths: key("derp.paths", workingPathList, [], "Files with relay maps in YAML. They win over derp.urls."),
  derpAutoUpdate: key(
    "derp.auto_update_enabled",
    bool,
    false,
    "Read derp.urls and derp.paths again from time to time.",
  ),
  derpUpdateFrequency: key(
    "derp.update_frequency",
    duration,
    180 * minute,
    "How often, if derp.auto_update_enabled. 0: never.",
  ),
  disableCheckUpdates: key(
    "disable_check_updates",
    bool,
    false,
    "Accepted; the commands never look for updates by themselves.",
  ),
  nodeExpiry: key("node.expiry", keyLife, 0, "How long a login of an untagged node lasts, like 180d. 0: for ever."),
  nodeInactivity: key(
    "node.ephemeral.inactivity_timeout",
    duration,
    2 * minute,
    "How long an ephemeral node may be away before it is deleted. More than 65s.",
  ),
  haProbeInterval: key(
    "node.routes.ha.probe_interval",
    duration,
    5000,
    "How often routers that share a route are asked whether they are alive. 0: never; otherwise at least 2s.",
  ),
  haProbeTimeout: key(
    "node.routes.ha.probe_timeout",
    duration,
    4000,
    "How long they may take to answer. At least 1s and less than the interval.",
  ),
  randomizeClientPort: key(
    "node.randomize_client_port",
    bool,
    false,
    "All nodes use a random WireGuard port. Better said in the policy (randomizeClientPort). Not a key of headscale's.",
  ),
  databaseType: key(
    "database.type",
    oneOf(
      ["sqlite", "sqlite3", "postgres"],
      (text) => `invalid database type "${text}", must be sqlite, sqlite3 or postgres`,
    ),
    "sqlite",
    "sqlite or postgres.",
  ),
  databaseDebug: key("database.debug", bool, false, "Log every statement."),
  gormPrepare: unused("database.gorm.prepare_stmt", "true or false", "Statements are prepared."),
  gormParameterized: unused("database.gorm.parameterized_queries", "true or false", "Parameters are never logged."),
  gormSkipNotFound: unused(
    "database.gorm.skip_err_record_not_found",
    "true or false",
    "A row that is not there is no error.",
  ),
  gormSlow: unused("database.gorm.slow_threshold", "number", "There is no log of slow statements."),
  sqlitePath: derived(
    "database.sqlite.path",
    path,
    "db.sqlite in data_dir",
    "The database file. Its folder is made when absent.",
  ),
  sqliteWal: key("database.sqlite.write_ahead_log", bool, true, "Use a write-ahead log."),
  sqliteCheckpoint: key(
    "database.sqlite.wal_autocheckpoint",
    int(0, 1_000_000),
    1000,
    "Pages of the log before it is folded in. 0: never by itself.",
  ),
  postgresHost: key("database.postgres.host", text, "", "Name, address, or folder of the socket."),
  postgresPort: key("database.postgres.port", int(0, 65535), 0, "0: PostgreSQL's default."),
  postgresName: key("database.postgres.name", text, "", "The database."),
  postgresUser: key("database.postgres.user", text, "", "The role."),
  postgresPass: secret(
    "database.postgres.pass",
    "Its password. Better in the environment: HAWSER_DATABASE_POSTGRES_PASS.",
  ),
  postgresSsl: key(
    "database.postgres.ssl",
    sslMode,
    "disable",
    "false: none; true: if the server has it (prefer); or an sslmode such as verify-full.",
  ),
  postgresMaxOpen: key("database.postgres.max_open_conns", int(-1, 1000), 10, "Connections at most."),
  postgresMaxIdle: key("database.postgres.max_idle_conns", int(-1, 1000), 10, "Idle connections that are kept."),
  postgresIdleTime: key(
    "database.postgres.conn_max_idle_time_secs",
    int(0, 31_536_000),
    3600,
    "How long an idle connection is kept, in seconds.",
  ),
  acmeUrl: key("acme_url", text, "", "Directory URL of the ACME server. Empty: Let's Encrypt."),
  acmeEmail: key("acme_email", text, "", "Contact for the ACME account."),
  letsencryptHostname: key(
    "tls_letsencrypt_hostname",
    text,
    "",
    "Get a certificate for this name by ACME and serve TLS. Not together with tls_cert_path.",
  ),
  letsencryptCacheDir: derived(
    "tls_letsencrypt_cache_dir",
    path,
    "acme in data_dir",
    "Where the ACME account and certificates are kept.",
  ),
  letsencryptChallenge: key(
    "tls_letsencrypt_challenge_type",
    oneOf(["HTTP-01", "TLS-ALPN-01"]),
    "HTTP-01",
    "How control of the name is proven.",
  ),
  letsencryptListen: key(
    "tls_letsencrypt_listen",
    listen,
    { host: "", port: 80 },
    "Where HTTP-01 challenges are answered; everything else there is redirected to server_url.",
  ),
  tlsCertPath: key("tls_cert_path", path, "", "Certificate chain (PEM) to serve TLS with."),
  tlsKeyPath: key("tls_key_path", path, "", "Its private key (PEM)."),
  logLevel: key("log.level", text, "info", "trace, debug, info, warn, error, fatal or disabled."),
  logFormat: key("log.format", text, "text", "text or json."),
  policyMode: key(
    "policy.mode",
    oneOf(
      ["file", "database"],
      (text) => `policy.mode must be file or database, not "${text}" (headscale would run without any policy)`,
    ),
    "file",
    "Where the policy lives: in the file at policy.path, or in the database, where API, CLI and console can set it. " +
      "Without any configuration file it is the database.",
  ),
  policyPath: key(
    "policy.path",
    path,
    "",
    "The policy file (HuJSON). Empty: no policy, every node may reach every other.",
  ),
  magicDns: key("dns.magic_dns", bool, true, "Nodes have names under dns.base_domain."),
  baseDomain: derived(
    "dns.base_domain",
    text,
    "tailnet.internal",
    "The domain of nodes' names. Must not be server_url's host or a parent of it.",
  ),
  overrideLocalDns: derived(
    "dns.override_local_dns",
    bool,
    "true when dns.nameservers.global is set",
    "Clients use dns.nameservers.global for everything instead of their own DNS. Needs dns.nameservers.global.",
  ),
  globalNameservers: key("dns.nameservers.global", textList, [], "Addresses, or URLs of DNS over HTTPS."),
  splitNameservers: key("dns.nameservers.split", splitDns, {}, "Nameservers for single domains."),
  searchDomains: key("dns.search_domains", textList, [], "Search domains besides dns.base_domain."),
  extraRecords: key<readonly ExtraRecord[]>(
    "dns.extra_records",
    records,
    [],
    "A and AAAA records that clients answer themselves. Not together with dns.extra_records_path.",
  ),
  extraRecordsPath: key(
    "dns.extra_records_path",
    workingPath,
    "",
    "A JSON file of such records. Watched: changes need no restart.",
  ),
  unixSocket: derived(
    "unix_socket",
    workingPath,
    "hawser.sock in data_dir",
    "Socket for the commands; whoever may open it administers the server.",
  ),
  unixSocketPermission: key("unix_socket_permission", fileMode, 0o770, "The socket's file mode, octal."),
  oidcIssuer: key(
    "oidc.issuer",
    text,
    "",
    "Let people log in with this OpenID Connect provider. Empty: an administrator approves each node.",
  ),
  oidcOnlyStart: key(
    "oidc.only_start_if_oidc_is_available",
    bool,
    true,
    "Logins wait for the provider. When false they fall back to approval by an administrator while it is away.",
  ),
  oidcClientId: key("oidc.client_id", text, "", "This server's client id at the provider."),
  oidcClientSecret: secret("oidc.client_secret", "Its secret. Not together with oidc.client_secret_path."),
  oidcClientSecretPath: key(
    "oidc.client_secret_path",
    text,
    "",
    "A file with the secret. $VAR and ${VAR} in the path are replaced.",
  ),
  oidcScope: key("oidc.scope", textList, ["openid", "profile", "email"], "Scopes to ask for."),
  oidcExtraParams: key("oidc.extra_params", textMap, {}, "Parameters added to the provider's login URL."),
  oidcAllowedDomains: key(
    "oidc.allowed_domains",
    textList,
    [],
    "Only people with an email address in one of these domains.",
  ),
  oidcAllowedUsers: key("oidc.allowed_users", textList, [], "Only people with one of these email addresses."),
  oidcAllowedGroups: key("oidc.allowed_groups", textList, [], "Only people in one of these groups of the provider's."),
  oidcEmailVerified: key(
    "oidc.email_verified_required",
    bool,
    true,
    "Trust an email address only if the provider says it is verified.",
  ),
  oidcUseExpiry: key("oidc.use_expiry_from_token", bool, false, "A login lasts as long as the provider's token."),
  oidcPkce: key("oidc.pkce.enabled", bool, false, "Use PKCE."),
  oidcPkceMethod: key(
    "oidc.pkce.method",
    oneOf(["S256", "plain"], () => "pkce.method must be either 'plain' or 'S256'"),
    "S256",
    "S256 or plain.",
  ),
  oidcEnabled: unused("oidc.enabled", "true or false", "A non-empty oidc.issuer is what turns OIDC on."),
  logtail: key("logtail.enabled", bool, false, "Let clients send their logs to Tailscale."),
  taildrop: key("taildrop.enabled", bool, true, "Let nodes of one user send files to each other."),
  autoUpdate: key("auto_update.enabled", bool, false, "Clients update themselves unless told otherwise."),
  auditRetention: key(
    "audit.retention",
    retention,
    400 * 24 * 60 * minute,
    "How long the audit log keeps its entries, like 400d. 0: for ever. Not a key of headscale's.",
  ),
  cliAddress: key(
    "cli.address",
    text,
    "",
    "host:port of a remote server's gRPC for the commands. Empty: the local socket.",
  ),
  cliApiKey: secret("cli.api_key", "API key for cli.address."),
  cliTimeout: key("cli.timeout", duration, 5000, "How long a command waits for the server."),
  cliInsecure: key("cli.insecure", bool, false, "Do not check the certificate at cli.address."),
  batchChangeDelay: key(
    "tuning.batch_change_delay",
    duration,
    0,
    "How long changes are collected before nodes are told. 0: as soon as they can be.",
  ),
  registerExpiration: key(
    "tuning.register_cache_expiration",
    duration,
    15 * minute,
    "How long a login waits to be approved.",
  ),
  registerMax: key("tuning.register_cache_max_entries", int(0, 1_000_000), 1024, "Logins that may wait at a time."),
  notifierTimeout: unused("tuning.notifier_send_timeout", "duration", "A slow node never holds up another."),
  channelSize: unused("tuning.node_mapsession_buffered_chan_size", "number", "Sessions hold no queue."),
  batcherWorkers: unused("tuning.batcher_workers", "number", "See control.threads."),
  storeBatchSize: unused(
    "tuning.node_store_batch_size",
    "number",
    "Commands that arrive together are written together.",
  ),
  storeBatchTimeout: unused("tuning.node_store_batch_timeout", "duration", "Nothing waits for a batch to fill."),
  controlThreads: derived(
    "control.threads",
    int(0, 64),
    "one per spare core, at most 8, from 2,000 nodes on; else 0",
    "Worker threads that hold client connections. 0: the main thread does. Without a value the server looks, when it starts, at its cores and at the nodes in its database. Not a key of headscale's.",
  ),
} as const;

/** All keys in the order of the documentation. */
export const allKeys: readonly KeySpec<unknown>[] = Object.values(keys);

/** Set by everybody who began with headscale's example, and harmless: the warning about the others says enough. */
const harmless = new Set(["oidc.enabled", "acme_url", "acme_email", "tls_letsencrypt_cache_dir"]);

/**
 * Understood, but this version does nothing with them yet: a value other than the default is warned about. Whoever
 * builds what a key is for takes it off the list.
 */
export const notBuilt: ReadonlySet<string> = new Set([
  ...allKeys.map(({ key }) => key).filter((key) => /^(oidc\.|acme_|tls_letsencrypt_)/.test(key) && !harmless.has(key)),
  "database.debug",
  "database.postgres.max_open_conns",
  "database.postgres.max_idle_conns",
  "database.postgres.conn_max_idle_time_secs",
  "tuning.batch_change_delay",
]);
