// The sections that keys stand in, and their order: of docs/configuration.md and of a configuration that is printed.
import type { KeySpec } from "./keys.ts";

const sectionTitles: readonly (readonly [prefix: string, title: string])[] = [
  ["", "Server"],
  ["noise", "Server"],
  ["prefixes", "Addresses"],
  ["derp", "Relays"],
  ["node", "Nodes"],
  ["database", "Database"],
  ["tls", "TLS"],
  ["log", "Logs"],
  ["policy", "Policy"],
  ["dns", "DNS"],
  ["oidc", "Logins by OpenID Connect"],
  ["logtail", "What clients may do"],
  ["taildrop", "What clients may do"],
  ["auto_update", "What clients may do"],
  ["cli", "Commands"],
  ["unix_socket", "Commands"],
  ["disable_check_updates", "Commands"],
  ["tuning", "Tuning"],
  ["control", "Tuning"],
];

function titleOf(key: string): string {
  const first = key.includes(".") ? key.slice(0, key.indexOf(".")) : key;
  if (first.startsWith("tls_") || first.startsWith("acme_")) {
    return "TLS";
  }
  const whole = first.startsWith("unix_socket") ? "unix_socket" : first;
  return sectionTitles.find(([prefix]) => prefix === whole)?.[1] ?? "Server";
}

export interface KeySection<Spec> {
  readonly title: string;
  /** In the order they came in. */
  readonly specs: readonly Spec[];
}

export function keySections<Spec extends Pick<KeySpec<unknown>, "key">>(specs: readonly Spec[]): KeySection<Spec>[] {
  const titles = [...new Set(sectionTitles.map(([, title]) => title))];
  return titles.map((title) => ({ title, specs: specs.filter(({ key }) => titleOf(key) === title) }));
}
