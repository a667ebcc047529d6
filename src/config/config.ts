// What the server runs with: the effective configuration, after the file, the environment and the defaults. Groups
// mirror the keys of config.yaml in camelCase. Durations are milliseconds; paths are absolute; 0 or null means "off"
// or "none" where the field says so. How each key is read, and what it is called in the file, stands in keys.ts.
import type { Prefix } from "../ip/index.ts";

/** Where to listen. An empty host means all addresses. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface Config {
  /** Where everything the server keeps lives unless a key says otherwise. */
  readonly dataDir: string;
  /** What clients are told to connect to, without a trailing slash. */
  readonly serverUrl: string;
  readonly listenAddr: ListenAddress;
  /** Null: no metrics listener. */
  readonly metricsListenAddr: ListenAddress | null;
  /** Null: no remote gRPC. Opened only with TLS, or when grpcAllowInsecure says so. */
  readonly grpcListenAddr: ListenAddress | null;
  readonly grpcAllowInsecure: boolean;
  /** Peers whose True-Client-IP, X-Real-IP and X-Forwarded-For are believed; host bits cleared. */
  readonly trustedProxies: readonly Prefix[];
  readonly noise: { readonly privateKeyPath: string };
  readonly prefixes: PrefixesConfig;
  readonly derp: DerpConfig;
  readonly disableCheckUpdates: boolean;
  readonly node: NodeConfig;
  readonly database: DatabaseConfig;
  readonly tls: TlsConfig;
  readonly log: LogConfig;
  readonly policy: PolicyConfig;
  readonly dns: DnsConfig;
  readonly unixSocket: string;
  /** File mode bits, as for chmod. */
  readonly unixSocketPermission: number;
  /** Null: people are approved by an administrator. */
  readonly oidc: OidcConfig | null;
  readonly logtail: { readonly enabled: boolean };
  readonly taildrop: { readonly enabled: boolean };
  readonly autoUpdate: { readonly enabled: boolean };
  readonly audit: AuditConfig;
  readonly cli: CliConfig;
  readonly tuning: TuningConfig;
  readonly control: ControlConfig;
}

/** At least one of the two prefixes is set; host bits cleared. */
export interface PrefixesConfig {
  readonly v4: Prefix | null;
  readonly v6: Prefix | null;
  readonly allocation: "sequential" | "random";
}

export interface DerpConfig {
  readonly server: DerpServerConfig;
  /** URLs of relay maps in JSON; later sources win per region. */
  readonly urls: readonly string[];
  /** Files of relay maps in YAML. */
  readonly paths: readonly string[];
  readonly autoUpdateEnabled: boolean;
  /** How often urls and paths are read again; 0: never. */
  readonly updateFrequency: number;
}

export interface DerpServerConfig {
  readonly enabled: boolean;
  readonly regionId: number;
  readonly regionCode: string;
  readonly regionName: string;
  readonly verifyClients: boolean;
  /** Null: no STUN. */
  readonly stunListenAddr: ListenAddress | null;
  readonly privateKeyPath: string;
  readonly automaticallyAddEmbeddedDerpRegion: boolean;
  /** Told to clients as the relay's address; "" lets them resolve the name. */
  readonly ipv4: string;
  readonly ipv6: string;
}

export interface NodeConfig {
  /** Life of a node key of an untagged node; 0: for ever. */
  readonly expiry: number;
  readonly ephemeral: { readonly inactivityTimeout: number };
  readonly routes: { readonly ha: HaProbeConfig };
  /** From the old key randomize_client_port; today the policy says so. */
  readonly randomizeClientPort: boolean;
}

export interface HaProbeConfig {
  /** 0: no probing. */
  readonly probeInterval: number;
  readonly probeTimeout: number;
}

export type DatabaseConfig = SqliteConfig | PostgresConfig;

export interface SqliteConfig {
  readonly type: "sqlite";
  readonly debug: boolean;
  readonly path: string;
  readonly writeAheadLog: boolean;
  /** Pages; 0: never by itself. */
  readonly walAutocheckpoint: number;
}

export interface PostgresConfig {
  readonly type: "postgres";
  readonly debug: boolean;
  /** A name, an address, or the folder of a socket. */
  readonly host: string;
  /** 0: the driver's default. */
  readonly port: number;
  readonly name: string;
  readonly user: string;
  /** Secret. */
  readonly pass: string;
  /** libpq's sslmode: disable, allow, prefer, require, verify-ca, verify-full; "" leaves it to the driver. */
  readonly sslMode: string;
  readonly maxOpenConns: number;
  readonly maxIdleConns: number;
  readonly connMaxIdleTime: number;
}

export type TlsConfig =
  | { readonly kind: "none" }
  | { readonly kind: "files"; readonly certPath: string; readonly keyPath: string }
  | AcmeConfig;

export interface AcmeConfig {
  readonly kind: "acme";
  readonly hostname: string;
  readonly cacheDir: string;
  readonly challengeType: "HTTP-01" | "TLS-ALPN-01";
  /** Listener for HTTP-01 challenges, which redirects everything else to serverUrl. */
  readonly httpListenAddr: ListenAddress;
  /** Directory URL; "": Let's Encrypt. */
  readonly directoryUrl: string;
  readonly email: string;
}

export interface LogConfig {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  readonly format: "text" | "json";
}

export interface PolicyConfig {
  readonly mode: "file" | "database";
  /** "": no policy, everybody may reach everybody (file mode). */
  readonly path: string;
}

export interface DnsConfig {
  readonly magicDns: boolean;
  /** Without dots at the ends; "" only when MagicDNS is off. */
  readonly baseDomain: string;
  readonly overrideLocalDns: boolean;
  readonly nameservers: {
    /** Addresses, or URLs of DNS over HTTPS. */
    readonly global: readonly string[];
    /** Domain to nameservers. */
    readonly split: Readonly<Record<string, readonly string[]>>;
  };
  readonly searchDomains: readonly string[];
  readonly extraRecords: readonly ExtraRecord[];
  /** "": none. A JSON file that is watched (extra-records.ts). */
  readonly extraRecordsPath: string;
}

/** A record clients answer themselves. They understand A and AAAA. */
export interface ExtraRecord {
  readonly name: string;
  /** "" means A or AAAA, by the value. */
  readonly type: string;
  readonly value: string;
}

export interface OidcConfig {
  readonly issuer: string;
  readonly onlyStartIfOidcIsAvailable: boolean;
  readonly clientId: string;
  /** Secret; read from client_secret_path where that is set. */
  readonly clientSecret: string;
  readonly scope: readonly string[];
  readonly extraParams: Readonly<Record<string, string>>;
  readonly allowedDomains: readonly string[];
  readonly allowedUsers: readonly string[];
  readonly allowedGroups: readonly string[];
  readonly emailVerifiedRequired: boolean;
  readonly useExpiryFromToken: boolean;
  readonly pkce: { readonly enabled: boolean; readonly method: "S256" | "plain" };
}

export interface AuditConfig {
  /** How long entries are kept, ms; 0: for ever. */
  readonly retention: number;
}

export interface CliConfig {
  /** host:port of a remote server's gRPC; "": the unix socket. */
  readonly address: string;
  /** Secret. */
  readonly apiKey: string;
  readonly timeout: number;
  /** Skip the check of the server's certificate. */
  readonly insecure: boolean;
}

export interface TuningConfig {
  /** How long changes are collected before clients are told; 0: as soon as they can be. */
  readonly batchChangeDelay: number;
  /** How long a login waits for its approval. */
  readonly registerCacheExpiration: number;
  readonly registerCacheMaxEntries: number;
}

export interface ControlConfig {
  /** Worker threads that hold client connections; 0: the main thread does; undefined: the server chooses. */
  readonly threads: number | undefined;
}

/** What the commands need of the configuration; read without the rest (cli-config.ts). */
export interface CliOnlyConfig {
  readonly cli: CliConfig;
  readonly unixSocket: string;
  readonly log: LogConfig;
  readonly disableCheckUpdates: boolean;
}

/** One thing to say about a key. The text shows no secret; of warnings and errors it names the key itself. */
export interface Finding {
  /** Dotted, as in the file; or the environment variable. "" speaks of the file as a whole. */
  readonly key: string;
  /** Line in the file, from 1; null when the key comes from the environment or is absent. */
  readonly line: number | null;
  readonly severity: "error" | "warning" | "info";
  readonly kind: "understood" | "unknown" | "removed" | "renamed" | "risky" | "invalid";
  readonly text: string;
}

export interface LoadedConfig {
  /** Undefined when a finding is an error: the server must not start. */
  readonly config: Config | undefined;
  readonly findings: readonly Finding[];
  /** The file that was read; undefined when there was none. */
  readonly file: string | undefined;
}
