// What a machine that runs headscale 0.29 has on its disk: every key of a configuration, most paths relative to the file
// as many people write them, and a policy.

/** How a configuration differs from machine to machine. */
export interface HeadscaleChoices {
  /** Absolute, unlike the other paths: headscale starts it at the working directory. */
  readonly unixSocket: string;
  /** Lines below `database:`. */
  readonly database: string;
  readonly policyMode: "database" | "file";
}

/** All keys of 0.29, for a server that its clients know as https://control behind a proxy that ends TLS. */
export function headscaleConfig({ unixSocket, database, policyMode }: HeadscaleChoices): string {
  return `---
# Clients come in through the proxy.
server_url: https://control
listen_addr: 127.0.0.1:8080
metrics_listen_addr: 127.0.0.1:9090
grpc_listen_addr: 127.0.0.1:50443
grpc_allow_insecure: false
trusted_proxies:
  - 127.0.0.1/32

noise:
  private_key_path: ../lib/noise_private.key

prefixes:
  v4: 100.64.0.0/10
  v6: fd7a:115c:a1e0::/48
  allocation: sequential

derp:
  server:
    enabled: true
    region_id: 999
    region_code: "home"
    region_name: "Our own relay"
    verify_clients: true
    stun_listen_addr: "0.0.0.0:3478"
    private_key_path: ../lib/derp_server_private.key
    automatically_add_embedded_derp_region: true
    ipv4: 10.10.0.1
    ipv6: ""
  urls: []
  paths: []
  auto_update_enabled: true
  update_frequency: 3h

disable_check_updates: true

node:
  expiry: 0
  ephemeral:
    inactivity_timeout: 30m
  routes:
    ha:
      probe_interval: 10s
      probe_timeout: 5s

database:
${database}
  debug: false
  gorm:
    prepare_stmt: true
    parameterized_queries: true
    skip_err_record_not_found: true
    slow_threshold: 1000

acme_url: https://acme.invalid/directory
acme_email: ""
tls_letsencrypt_hostname: ""
tls_letsencrypt_cache_dir: ../lib/cache
tls_letsencrypt_challenge_type: HTTP-01
tls_letsencrypt_listen: ":http"
tls_cert_path: ""
tls_key_path: ""

log:
  level: info
  format: text

policy:
  mode: ${policyMode}
  path: ${policyMode === "file" ? "policy.hujson" : '""'}

dns:
  magic_dns: true
  base_domain: acme.internal
  override_local_dns: false
  nameservers:
    global: []
    split:
      Office.example:
        - 10.20.0.53
  search_domains:
    - office.example
  extra_records:
    - name: "printer.acme.internal"
      type: "A"
      value: "100.64.0.77"

unix_socket: ${unixSocket}
unix_socket_permission: "0770"

# oidc:
#   issuer: "https://idp.example.com"

logtail:
  enabled: false
taildrop:
  enabled: true
auto_update:
  enabled: false

tuning:
  notifier_send_timeout: 800ms
  batch_change_delay: 800ms
  node_mapsession_buffered_chan_size: 30
`;
}

/** Staff reach each other wholly, the router and what is behind it on port 80 only, and the world through it. */
export const headscalePolicy = `// keep this comment
{
  "groups": { "group:staff": ["infra@"] },
  "tagOwners": { "tag:router": ["group:staff"], "tag:ci": ["group:staff"] },
  "hosts": { "office": "10.20.0.0/24" },
  "acls": [
    { "action": "accept", "src": ["group:staff"], "dst": ["group:staff:*", "tag:ci:*"] },
    { "action": "accept", "src": ["group:staff"], "dst": ["tag:router:80", "office:80", "autogroup:internet:*"] },
  ],
  "ssh": [
    { "action": "accept", "src": ["group:staff"], "dst": ["tag:router"], "users": ["autogroup:nonroot"] },
  ],
}
`;
