// A configuration, printed and loaded again, is the same.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { parse } from "yaml";
import type { Config } from "./config.ts";
import { dumpConfig } from "./dump.ts";
import { allKeys } from "./keys.ts";
import { scratch } from "./scratch.test-data.ts";
import type { Scratch } from "./scratch.test-data.ts";
import { keySections } from "./sections.ts";

const examples = join(import.meta.dirname, "../../test/data/headscale-config");

async function loaded(place: Scratch, text: string): Promise<Config> {
  const { config, findings } = await place.load(text);
  assert.ok(config !== undefined, JSON.stringify(findings.filter(({ severity }) => severity === "error")));
  return config;
}

async function assertRoundTrip(text: string): Promise<void> {
  using place = scratch();
  const config = await loaded(place, text);
  // Elsewhere, with another program folder and another address: the text must say all that matters.
  using elsewhere = scratch();
  const again = await loaded(elsewhere, dumpConfig(config, { withSecrets: true }).yaml);
  assert.deepEqual(again, config);
}

const everything = `
data_dir: /srv/hawser
server_url: https://control.example.com/
listen_addr: "[::1]:http"
metrics_listen_addr: 127.0.0.1:9090
grpc_listen_addr: ""
trusted_proxies: [10.1.2.3/8, "fd00::1/64"]
noise: {private_key_path: keys/noise}
audit: {retention: 1w36h}
prefixes: {v6: "fd7a:115c:a1e0:8::/64", v4: "", allocation: random}
derp:
  server:
    enabled: false
    stun_listen_addr: ""
    region_name: "yes: no # maybe"
  urls: [https://map.example.com/a?b=c, "https://me:secret@map.example.com/"]
  paths: [relative.yaml, " led by a space"]
  auto_update_enabled: on
  update_frequency: 90m30s500ms
node:
  expiry: 1y2d3h
  ephemeral: {inactivity_timeout: 1h5m0.25s}
  routes: {ha: {probe_interval: 0}}
  randomize_client_port: true
log: {level: disabled, format: json}
policy: {mode: database, path: policy.hujson}
dns:
  base_domain: .Tail.Example.NET.
  override_local_dns: true
  nameservers:
    global: [1.1.1.1, https://dns.example.com/x]
    split: {Corp.Example.com: [10.0.0.53, "fd00::53"], "true": []}
  search_domains: [a.example.com, "0123", "null"]
  extra_records:
    - {name: printer.example.com, type: A, value: 100.64.0.9}
    - {NAME: "1", value: "100.64.0.10"}
unix_socket: run/hawser.sock
unix_socket_permission: 0o1770
oidc:
  issuer: https://id.example.com
  client_id: "007"
  client_secret: "  s\\"e'c: r#et\\n"
  extra_params: {prompt: "no", empty: }
  allowed_groups: ["a b", ""]
  pkce: {enabled: true, method: plain}
cli: {address: "h:1", api_key: key, timeout: 0.5ms, insecure: true}
tuning: {batch_change_delay: 800us, register_cache_expiration: 0}
control: {threads: 3}
`;

suite("a printed configuration", () => {
  for (const name of readdirSync(examples).filter((file) => file.endsWith(".yaml") && !file.includes("error"))) {
    test(`is the same again: headscale's ${name}`, () => assertRoundTrip(readFileSync(join(examples, name), "utf8")));
  }

  test("is the same again: nothing set at all", () => assertRoundTrip(""));
  test("is the same again: every kind of value", () => assertRoundTrip(everything));
  test("is the same again: PostgreSQL", () =>
    assertRoundTrip(
      "database: {type: postgres, postgres: {host: /run/pg, port: 0, name: hawser, user: me, pass: 0123, ssl: verify-full, max_open_conns: 3, conn_max_idle_time_secs: 60}}",
    ));
  test("is the same again: certificate files", () => assertRoundTrip("tls_cert_path: c.pem\ntls_key_path: k.pem"));
  test("is the same again: certificates by ACME", () =>
    assertRoundTrip(
      "tls_letsencrypt_hostname: a.example.com\ntls_letsencrypt_challenge_type: TLS-ALPN-01\nlisten_addr: :https\nacme_email: a@example.com\nacme_url: https://acme.example.com/dir\ntls_letsencrypt_cache_dir: cache",
    ));
  test("is the same again: a file of DNS records, and no MagicDNS", () =>
    assertRoundTrip('dns: {extra_records_path: records.json, magic_dns: false, base_domain: ""}'));

  test("is the same again, whatever the texts, numbers and times are", async () => {
    const text = fc.oneof(fc.string(), fc.constantFrom("yes", "0x1", "~", "1e3", "- a", "a: b", "line\nline\n", "# x"));
    // A `${NAME}` is replaced from the environment when it is read.
    const plainText = text.filter((value) => !value.includes("${"));
    const list = fc.array(plainText, { maxLength: 4 });
    const name = fc.stringMatching(/^[a-z]{1,8}$/);
    const time = fc.integer({ min: 0, max: 10_000_000_000 });
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          code: plainText,
          list,
          map: fc.dictionary(name, plainText),
          split: fc.dictionary(name, list),
          records: fc.array(fc.record({ name, type: plainText, value: plainText.filter((value) => value !== "") }), {
            maxLength: 3,
          }),
          mode: fc.integer({ min: 0, max: 0o7777 }),
          time,
          life: time,
          secret: plainText,
          flag: fc.boolean(),
        }),
        async ({ code, list: texts, map, split, records, mode, time: ms, life, secret, flag }) => {
          const json = {
            derp: { server: { region_code: code, ipv4: code }, update_frequency: `${ms}ms` },
            node: { expiry: `${life}ms` },
            audit: { retention: `${ms}ms` },
            dns: { search_domains: texts, nameservers: { split }, extra_records: records },
            oidc: { issuer: "https://id.example.com", client_id: `i${code}`, client_secret: secret, extra_params: map },
            cli: { api_key: secret, insecure: flag },
            unix_socket_permission: `0o${mode.toString(8)}`,
            logtail: { enabled: flag },
          };
          await assertRoundTrip(JSON.stringify(json));
        },
      ),
      { numRuns: 200 },
    );
  });

  test("holds no secret unless it is asked to, and names those that it leaves out", async () => {
    using place = scratch();
    const config = await loaded(place, everything);
    const { yaml, tree } = dumpConfig(config, { withSecrets: false });
    for (const secret of ["s\\\"e'c", "api_key: key", "me:secret@", "prompt"]) {
      assert.ok(!yaml.includes(secret), secret);
    }
    assert.ok(!JSON.stringify(tree).includes("secret"));
    const left = [...yaml.matchAll(/^# (\S+) is set, but left out here: --with-secrets prints it$/gm)].map(
      ([, key]) => key,
    );
    assert.deepEqual(left, ["derp.urls", "oidc.client_secret", "oidc.extra_params", "cli.api_key"]);
    using elsewhere = scratch();
    const again = await loaded(elsewhere, yaml);
    assert.ok(config.oidc !== null && again.oidc !== null);
    assert.deepEqual(again, {
      ...config,
      derp: { ...config.derp, urls: [] },
      oidc: { ...config.oidc, clientSecret: "", extraParams: {} },
      cli: { ...config.cli, apiKey: "" },
    });
  });

  test("has its keys in the order of docs/configuration.md", async () => {
    using place = scratch();
    const { yaml } = dumpConfig(await loaded(place, everything), { withSecrets: true });
    const order = keySections(allKeys).flatMap(({ specs }) => specs.map(({ key }) => key));
    const places = dotted(parse(yaml)).map((key) => order.findIndex((known) => known === key));
    assert.ok(places.length > 70 && !places.includes(-1));
    assert.deepEqual(
      places,
      places.toSorted((a, b) => a - b),
    );
  });
});

const maps = new Set(["dns.nameservers.split", "oidc.extra_params"]);

function dotted(tree: unknown, prefix = ""): string[] {
  assert.ok(typeof tree === "object" && tree !== null);
  return Object.entries(tree).flatMap(([name, value]) => {
    const key = prefix + name;
    const isSection = typeof value === "object" && value !== null && !Array.isArray(value) && !maps.has(key);
    return isSection ? dotted(value, `${key}.`) : [key];
  });
}
