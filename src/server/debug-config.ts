// The effective configuration for the eyes of an operator: what opens doors is left out, and so are credentials that
// people write into URLs.
import type { Config } from "../config/config.ts";
import { type Addr, formatPrefix, type Prefix } from "../ip/index.ts";
import type { Json } from "../wire/tailcfg.ts";

/** JSON-ready, in the names of Config. */
export function shownConfig(config: Config): Json {
  const { database, oidc, cli } = config;
  return shown({
    ...config,
    database: database.type === "postgres" ? { ...database, pass: masked(database.pass) } : database,
    oidc:
      oidc === null
        ? null
        : {
            ...oidc,
            clientSecret: masked(oidc.clientSecret),
            // Some providers take tokens here.
            extraParams: Object.fromEntries(Object.keys(oidc.extraParams).map((name) => [name, "***"])),
          },
    cli: { ...cli, apiKey: masked(cli.apiKey) },
  });
}

function masked(secret: string): string {
  return secret === "" ? "" : "***";
}

function shown(value: unknown): Json {
  if (typeof value === "string") {
    return withoutCredentials(value);
  }
  if (typeof value === "number" || typeof value === "boolean") {
    return value;
  }
  if (Array.isArray(value)) {
    return value.map(shown);
  }
  if (typeof value === "object" && value !== null) {
    return isPrefix(value)
      ? formatPrefix(value)
      : Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shown(item)]));
  }
  return null;
}

function isPrefix(value: object): value is Prefix {
  return "bits" in value && "addr" in value && isAddr(value.addr);
}

function isAddr(value: unknown): value is Addr {
  return typeof value === "object" && value !== null && "family" in value;
}

/** User, password and query of a URL. */
function withoutCredentials(text: string): string {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    return text;
  }
  const url = URL.parse(text);
  if (url === null || (url.username === "" && url.password === "" && url.search === "")) {
    return text;
  }
  const who = url.username === "" && url.password === "" ? "" : "***@";
  return `${url.protocol}//${who}${url.host}${url.pathname}${url.search === "" ? "" : "?***"}`;
}
