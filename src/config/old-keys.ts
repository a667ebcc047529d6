// Keys that are no longer, or never were, and that configurations and guides still use. A renamed key is read as the
// one of today, with a warning that names it; a removed one is explained. Neither stops the server.
import { parsePrefix } from "../ip/index.ts";
import type { Raw } from "./raw.ts";
import { isRawList, isRawMap } from "./raw.ts";

export interface RenamedKey {
  readonly old: string;
  /** Today's key or keys, for people. */
  readonly today: string;
  /** What the old value means in today's keys; an empty list: nothing that could be used. */
  readonly translate: (raw: Raw) => readonly { readonly key: string; readonly raw: Raw }[];
  readonly note: string;
}

export interface RemovedKey {
  readonly key: string;
  readonly reason: string;
}

function renamed(old: string, today: string, note = ""): RenamedKey {
  return { old, today, translate: (raw) => [{ key: today, raw }], note };
}

function byFamily(raw: Raw): { key: string; raw: Raw }[] {
  const texts = typeof raw === "string" ? raw.split(/[\s,]+/) : isRawList(raw) ? raw : [];
  return texts.flatMap((text) => {
    const prefix = typeof text === "string" ? parsePrefix(text) : undefined;
    return prefix === undefined ? [] : [{ key: prefix.addr.family === 4 ? "prefixes.v4" : "prefixes.v6", raw: text }];
  });
}

export const renamedKeys: readonly RenamedKey[] = [
  { old: "ip_prefixes", today: "prefixes.v4 and prefixes.v6", translate: byFamily, note: "" },
  renamed("database.path", "database.sqlite.path"),
  renamed("db_type", "database.type"),
  renamed("db_path", "database.sqlite.path"),
  renamed("db_host", "database.postgres.host"),
  renamed("db_port", "database.postgres.port"),
  renamed("db_name", "database.postgres.name"),
  renamed("db_user", "database.postgres.user"),
  renamed("db_pass", "database.postgres.pass"),
  renamed("db_ssl", "database.postgres.ssl"),
  renamed("acl_policy_path", "policy.path"),
  renamed("ephemeral_node_inactivity_timeout", "node.ephemeral.inactivity_timeout"),
  renamed("randomize_client_port", "node.randomize_client_port", "the policy can say it too: randomizeClientPort"),
  renamed("oidc.expiry", "node.expiry", "it holds for every way to log in"),
  renamed("log_level", "log.level"),
  renamed("log_format", "log.format"),
  renamed("derp.server.stun.listen_addr", "derp.server.stun_listen_addr"),
  renamed("dns_config.magic_dns", "dns.magic_dns"),
  renamed("dns_config.base_domain", "dns.base_domain"),
  renamed("dns_config.override_local_dns", "dns.override_local_dns"),
  renamed("dns_config.nameservers", "dns.nameservers.global"),
  renamed("dns_config.restricted_nameservers", "dns.nameservers.split"),
  renamed("dns_config.domains", "dns.search_domains"),
  renamed("dns_config.extra_records", "dns.extra_records"),
  renamed("dns.nameservers.restricted", "dns.nameservers.split"),
  renamed("dns.restricted_nameservers", "dns.nameservers.split"),
  renamed("dns.domains", "dns.search_domains"),
  {
    old: "dns.nameservers",
    today: "dns.nameservers.global",
    translate: (raw) => (isRawMap(raw) ? [] : [{ key: "dns.nameservers.global", raw }]),
    note: "",
  },
  renamed("tuning.batched_change_delay", "tuning.batch_change_delay"),
  renamed("tuning.node_mapsession_channel_size", "tuning.node_mapsession_buffered_chan_size"),
];

const usernames = "nodes' names no longer carry the user's; names that clash get a number";

export const removedKeys: readonly RemovedKey[] = [
  { key: "dns.use_username_in_magic_dns", reason: usernames },
  { key: "dns_config.use_username_in_magic_dns", reason: usernames },
  {
    key: "oidc.strip_email_domain",
    reason: "users are known by the provider's subject; the policy names them by email address or name",
  },
  { key: "oidc.map_legacy_users", reason: "users from before the change are taken over with their database" },
  {
    key: "oidc.user_profile",
    reason: "it never existed: name, email and groups come from the standard claims of the provider",
  },
  { key: "private_key_path", reason: "the protocol it was for is gone; noise.private_key_path is the server's key" },
  { key: "derp.server.stun.enabled", reason: "an empty derp.server.stun_listen_addr turns STUN off" },
  { key: "tls_client_auth_mode", reason: "clients prove who they are inside the Noise protocol" },
  { key: "node_update_check_interval", reason: "nodes are told of changes at once" },
  { key: "default_host_info_change_expiry", reason: "it never existed; node.expiry says how long a login lasts" },
  { key: "acl_policy", reason: "it never existed; policy.path names the policy file" },
];
