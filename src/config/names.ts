// The groups about names and people: the server's URL, DNS, OpenID Connect.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseAddr } from "../ip/index.ts";
import type { DnsConfig, ListenAddress, OidcConfig, TlsConfig } from "./config.ts";
import { keys } from "./keys.ts";
import type { Environment, Surroundings } from "./places.ts";
import type { Reading } from "./reading.ts";
import { setAmong } from "./reading.ts";

export function serverUrl(
  reading: Reading,
  around: Surroundings,
  listenAddr: ListenAddress,
  tls: TlsConfig,
  withFile: boolean,
): string {
  const given = reading.set(keys.serverUrl);
  if (given !== undefined && given !== "") {
    if (!/^https?:\/\//.test(given) || !URL.canParse(given)) {
      reading.error(keys.serverUrl, `server_url must start with https:// or http:// and be a URL, not "${given}"`);
    }
    return given.replace(/\/+$/, "");
  }
  const url = likelyUrl(around, listenAddr, tls);
  const text = `server_url is not set: clients are told ${url}`;
  if (withFile) {
    reading.warn(keys.serverUrl, text);
  } else {
    reading.inform(keys.serverUrl, text);
  }
  return url;
}

function likelyUrl(around: Surroundings, { host, port }: ListenAddress, tls: TlsConfig): string {
  const scheme = tls.kind === "none" ? "http" : "https";
  const address = parseAddr(host);
  const anywhere = host === "" || host === "0.0.0.0" || host === "::";
  const shown = address?.family === 6 ? `[${host}]` : host;
  const name = tls.kind === "acme" ? tls.hostname : anywhere ? around.machineAddress() : shown;
  return `${scheme}://${name}${port === (scheme === "http" ? 80 : 443) ? "" : `:${port}`}`;
}

const defaultDomain = "tailnet.internal";

export function dnsConfig(reading: Reading, url: string, withFile: boolean): DnsConfig {
  const magicDns = reading.take(keys.magicDns);
  const global = reading.take(keys.globalNameservers);
  const overrideLocalDns = reading.set(keys.overrideLocalDns) ?? global.length > 0;
  if (overrideLocalDns && global.length === 0) {
    reading.error(keys.overrideLocalDns, "dns.nameservers.global must be set when dns.override_local_dns is true");
  }
  if (reading.has(keys.extraRecords) && reading.has(keys.extraRecordsPath)) {
    reading.error(
      keys.extraRecordsPath,
      "dns.extra_records and dns.extra_records_path are mutually exclusive: remove one",
    );
  }
  const split = reading.take(keys.splitNameservers);
  checkNameservers(reading, global, split);
  return {
    magicDns,
    baseDomain: baseDomain(reading, magicDns, url, withFile),
    overrideLocalDns,
    nameservers: { global, split },
    searchDomains: reading.take(keys.searchDomains),
    extraRecords: reading.take(keys.extraRecords),
    extraRecordsPath: reading.take(keys.extraRecordsPath),
  };
}

function checkNameservers(reading: Reading, global: readonly string[], split: DnsConfig["nameservers"]["split"]): void {
  const usable = (server: string): boolean => parseAddr(server) !== undefined || /^https?:\/\/./.test(server);
  const wrong = global.filter((server) => !usable(server));
  if (wrong.length > 0) {
    reading.warn(keys.globalNameservers, `dns.nameservers.global: neither an address nor a URL: ${wrong.join(", ")}`);
  }
  for (const [domain, servers] of Object.entries(split)) {
    const wrong = servers.filter((server) => !usable(server));
    if (wrong.length > 0) {
      reading.warn(
        keys.splitNameservers,
        `dns.nameservers.split of ${domain}: neither an address nor a URL: ${wrong.join(", ")}`,
      );
    }
  }
}

function baseDomain(reading: Reading, magicDns: boolean, url: string, withFile: boolean): string {
  const given = reading.set(keys.baseDomain);
  const domain = given?.toLowerCase().replace(/^\.+|\.+$/g, "");
  if (domain === undefined) {
    if (magicDns && withFile) {
      reading.warn(keys.baseDomain, `dns.base_domain is not set: nodes are named under ${defaultDomain}`);
    }
    return magicDns ? defaultDomain : "";
  }
  if (domain === "") {
    if (magicDns) {
      reading.error(keys.baseDomain, "dns.base_domain must be set when using MagicDNS (dns.magic_dns)");
    }
    return "";
  }
  if (
    !/^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(domain) ||
    domain.length > 190
  ) {
    reading.error(keys.baseDomain, `dns.base_domain: "${domain}" is not a domain name`);
  }
  checkOwnName(reading, domain, url);
  return domain;
}

/** Clients ask this server for every name under the base domain: its own name must not be one of them. */
function checkOwnName(reading: Reading, domain: string, url: string): void {
  const { hostname, port } = URL.canParse(url) ? new URL(url) : { hostname: "", port: "" };
  if (hostname === domain) {
    reading.error(
      keys.baseDomain,
      "server_url cannot use the same domain as base_domain in a way that could make the DERP and headscale server unreachable",
    );
  } else if (hostname.endsWith(`.${domain}`)) {
    const text =
      "server_url cannot be part of base_domain in a way that could make the DERP and headscale server unreachable";
    // headscale overlooks it when the URL names a port, so such servers exist.
    if (port === "") {
      reading.error(keys.baseDomain, text);
    } else {
      reading.warn(keys.baseDomain, text);
    }
  }
}

const oidcKeys = [
  keys.oidcClientId,
  keys.oidcClientSecret,
  keys.oidcClientSecretPath,
  keys.oidcAllowedDomains,
  keys.oidcAllowedUsers,
  keys.oidcAllowedGroups,
];

export function oidcConfig(reading: Reading, around: Surroundings): OidcConfig | null {
  const issuer = reading.take(keys.oidcIssuer);
  const oidc = {
    issuer,
    onlyStartIfOidcIsAvailable: reading.take(keys.oidcOnlyStart),
    clientId: reading.take(keys.oidcClientId),
    clientSecret: clientSecret(reading, around, issuer !== ""),
    scope: reading.take(keys.oidcScope),
    extraParams: reading.take(keys.oidcExtraParams),
    allowedDomains: reading.take(keys.oidcAllowedDomains),
    allowedUsers: reading.take(keys.oidcAllowedUsers),
    allowedGroups: reading.take(keys.oidcAllowedGroups),
    emailVerifiedRequired: reading.take(keys.oidcEmailVerified),
    useExpiryFromToken: reading.take(keys.oidcUseExpiry),
    pkce: { enabled: reading.take(keys.oidcPkce), method: reading.take(keys.oidcPkceMethod) },
  };
  if (issuer === "") {
    const pointless = setAmong(reading, oidcKeys);
    if (pointless.length > 0) {
      reading.warn(
        keys.oidcIssuer,
        `oidc.issuer is not set, so nobody can log in by OIDC and ${pointless.join(", ")} has no effect`,
      );
    }
    return null;
  }
  if (!/^https?:\/\/./.test(issuer) || !URL.canParse(issuer)) {
    reading.error(keys.oidcIssuer, `oidc.issuer must be a URL, not "${issuer}"`);
  }
  if (oidc.clientId === "") {
    reading.error(keys.oidcClientId, "oidc.client_id must be set when oidc.issuer is");
  }
  return oidc;
}

function clientSecret(reading: Reading, around: Surroundings, needed: boolean): string {
  const secret = reading.take(keys.oidcClientSecret);
  const given = reading.take(keys.oidcClientSecretPath);
  if (given === "") {
    return secret;
  }
  if (secret !== "") {
    reading.error(keys.oidcClientSecretPath, "oidc_client_secret and oidc_client_secret_path are mutually exclusive");
    return secret;
  }
  const path = resolve(around.workingDir, expandPath(given, around.env));
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    if (needed) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
      reading.error(keys.oidcClientSecretPath, `oidc.client_secret_path: cannot read ${path}: ${code}`);
    }
    return "";
  }
}

/** $VAR and ${VAR}, as Go's os.ExpandEnv: what is not set is empty. systemd's credentials folder comes this way. */
function expandPath(path: string, env: Environment): string {
  return path.replace(
    /\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))/g,
    (_, braced: string | undefined, bare: string | undefined) => env[braced ?? bare ?? ""] ?? "",
  );
}
