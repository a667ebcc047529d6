import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { formatPrefix } from "../ip/index.ts";
import type { Config } from "./config.ts";
import { variableOf } from "./gather.ts";
import { allKeys, notBuilt } from "./keys.ts";
import { loadConfig } from "./load.ts";
import { said, scratch } from "./scratch.test-data.ts";

const headscaleConfigs = join(import.meta.dirname, "../../test/data/headscale-config");

suite("loading the configuration", () => {
  test("none is needed", async () => {
    using place = scratch();
    const { config, findings, file } = await loadConfig(place.around());
    assert.ok(config !== undefined);
    assert.equal(file, undefined);
    assert.deepEqual(said({ findings }, "warning"), []);
    const data = join(place.folder, "program/data");
    assert.equal(config.dataDir, data);
    assert.equal(config.serverUrl, "http://192.0.2.7:8080");
    assert.deepEqual(config.listenAddr, { host: "0.0.0.0", port: 8080 });
    assert.equal(config.unixSocket, join(data, "hawser.sock"));
    assert.equal(config.unixSocketPermission, 0o770);
    // There is no file it could be in, and people shall be able to set one.
    assert.equal(config.policy.mode, "database");
    assert.deepEqual(config.database, {
      type: "sqlite",
      debug: false,
      path: join(data, "db.sqlite"),
      writeAheadLog: true,
      walAutocheckpoint: 1000,
    });
    assert.deepEqual(
      [config.prefixes.v4, config.prefixes.v6].map((p) => p && formatPrefix(p)),
      ["100.64.0.0/10", "fd7a:115c:a1e0::/48"],
    );
    assert.ok(config.derp.server.enabled && config.dns.magicDns);
    assert.deepEqual(config.node.routes.ha, { probeInterval: 5000, probeTimeout: 4000 });
    assert.equal(config.oidc, null);
  });

  test("every key of the table is understood, from the file and from both kinds of variables", async () => {
    using place = scratch();
    const samples = allKeys.map(({ key, reader }) => ({ key, text: sampleOf(key, reader.type) }));
    const yaml = samples.map(({ key, text }) => `${JSON.stringify(key)}: ${yamlOf(text)}`).join("\n");
    const fromFile = await place.load(yaml);
    for (const { key } of samples) {
      const states = fromFile.findings.filter((finding) => finding.key === key).map(({ kind }) => kind);
      assert.ok(states.includes("understood"), `${key}: ${states.join(" ")}`);
    }
    for (const prefix of ["HEADSCALE_", "HAWSER_"] as const) {
      const env = Object.fromEntries(samples.map(({ key, text }) => [variableOf(prefix, key), text]));
      const fromEnv = await loadConfig(place.around({ env, workingDir: join(place.folder, "conf") }));
      assert.deepEqual(fromEnv.config, fromFile.config);
      assert.deepEqual(
        fromEnv.findings.filter(({ kind }) => kind === "unknown"),
        [],
      );
    }
  });

  test("nested sections, dotted keys and any case of letters are the same", async () => {
    using place = scratch();
    const nested = await place.load("dns:\n  nameservers:\n    global: [1.1.1.1]\n");
    const dotted = await place.load("dns.nameservers.global: [1.1.1.1]\n");
    const shouted = await place.load("DNS:\n  NameServers:\n    GLOBAL: [1.1.1.1]\n");
    assert.deepEqual(nested.config, dotted.config);
    assert.deepEqual(nested.config, shouted.config);
    assert.ok(nested.config?.dns.overrideLocalDns);
  });

  test("HAWSER_ beats HEADSCALE_, both beat the file, and an empty variable is not set", async () => {
    using place = scratch();
    const text = "listen_addr: 127.0.0.1:1\n";
    const port = async (env: Record<string, string>) => (await place.load(text, env)).config?.listenAddr.port;
    assert.equal(await port({}), 1);
    assert.equal(await port({ HEADSCALE_LISTEN_ADDR: "127.0.0.1:2" }), 2);
    assert.equal(await port({ HEADSCALE_LISTEN_ADDR: "127.0.0.1:2", HAWSER_LISTEN_ADDR: ":3" }), 3);
    assert.equal(await port({ HEADSCALE_LISTEN_ADDR: "" }), 1);
    const { findings } = await place.load(text, { HAWSER_LISTEN_ADDR: ":3" });
    assert.match(said({ findings }, "info").join("\n"), /listen_addr is not used: HAWSER_LISTEN_ADDR says otherwise/);
  });

  test("lists in variables are split at white space, maps and records are JSON", async () => {
    using place = scratch();
    const { config } = await place.load("server_url: https://x.example.com\n", {
      HEADSCALE_DNS_NAMESERVERS_GLOBAL: "1.1.1.1 9.9.9.9",
      HEADSCALE_DNS_NAMESERVERS_SPLIT: '{"X.y":["9.9.9.9"]}',
      HEADSCALE_OIDC_ISSUER: "https://idp.example.com",
      HEADSCALE_OIDC_CLIENT_ID: "id",
      HEADSCALE_OIDC_EXTRA_PARAMS: '{"a":"b"}',
      HEADSCALE_DNS_EXTRA_RECORDS: '[{"name":"n","type":"A","value":"100.64.0.1"}]',
    });
    assert.deepEqual(config?.dns.nameservers, { global: ["1.1.1.1", "9.9.9.9"], split: { "x.y": ["9.9.9.9"] } });
    assert.deepEqual(config.oidc?.extraParams, { a: "b" });
    assert.deepEqual(config.dns.extraRecords, [{ name: "n", type: "A", value: "100.64.0.1" }]);
    const broken = await place.load("", { HEADSCALE_OIDC_EXTRA_PARAMS: "{" });
    assert.deepEqual(said(broken, "error"), ["HEADSCALE_OIDC_EXTRA_PARAMS must hold JSON"]);
  });

  test("paths are relative to the file, except those that headscale takes from the working directory", async () => {
    using place = scratch();
    const { config } = await place.load(
      "noise: {private_key_path: n.key}\ndatabase: {sqlite: {path: ../db/x.sqlite}}\npolicy: {path: p.hujson}\nunix_socket: s.sock\nderp: {paths: [d.yaml]}\ndns: {extra_records_path: e.json}\n",
    );
    assert.ok(config?.database.type === "sqlite");
    assert.deepEqual(
      [config.noise.privateKeyPath, config.database.path, config.policy.path],
      ["conf/n.key", "db/x.sqlite", "conf/p.hujson"].map((path) => join(place.folder, path)),
    );
    assert.deepEqual(
      [config.unixSocket, ...config.derp.paths, config.dns.extraRecordsPath],
      ["work/s.sock", "work/d.yaml", "work/e.json"].map((path) => join(place.folder, path)),
    );
  });

  test("plain values stay the text they were: file modes and passwords that look like numbers", async () => {
    using place = scratch();
    const { config } = await place.load(
      "unix_socket_permission: 0770\ndatabase:\n  type: postgres\n  postgres: {host: h, name: n, pass: 0123, ssl: true}\n",
    );
    assert.equal(config?.unixSocketPermission, 0o770);
    assert.ok(config.database.type === "postgres");
    assert.equal(config.database.pass, "0123");
    assert.equal(config.database.sslMode, "");
  });

  test("no limit on PostgreSQL's connections is written as in Go: 0, or less", async () => {
    using place = scratch();
    const { config } = await place.load(
      "database:\n  type: postgres\n  postgres: {host: h, name: n, max_open_conns: 0, max_idle_conns: -1}\n",
    );
    assert.ok(config?.database.type === "postgres");
    assert.deepEqual([config.database.maxOpenConns, config.database.maxIdleConns], [0, -1]);
  });

  test("database.postgres.ssl takes every word that Go reads as true or false, and sslmodes", async () => {
    using place = scratch();
    for (const [written, mode] of Object.entries({
      TRUE: "",
      1: "",
      "'t'": "",
      False: "disable",
      0: "disable",
      require: "require",
    })) {
      const { config } = await place.load(
        `database:\n  type: postgres\n  postgres: {host: /run/postgresql, name: n, ssl: ${written}}\n`,
      );
      assert.ok(config?.database.type === "postgres", written);
      assert.equal(config.database.sslMode, mode, written);
    }
  });

  test("all errors come at once, each with its line, and none is used in part", async () => {
    using place = scratch();
    const loaded = await place.load(
      [
        "server_url: example.com",
        "trusted_proxies: [10.0.0.1, ::/0]",
        "prefixes: {v4: 100.64.0.0/10, allocation: clever}",
        "node:",
        "  ephemeral:",
        "    inactivity_timeout: 65s",
        "  routes: {ha: {probe_interval: 1s}}",
        "database: {type: mysql}",
        "dns: {magic_dns: maybe}",
        "policy: {mode: databse}",
        "tuning: 3",
      ].join("\n"),
    );
    assert.equal(loaded.config, undefined);
    const errors = loaded.findings
      .filter(({ severity }) => severity === "error")
      .map(({ line, text }) => `${line ?? "-"} ${text}`);
    const expected = [
      "1 server_url must start with https:// or http://",
      '2 trusted_proxies[0] "10.0.0.1": not an IP prefix',
      '3 invalid prefix allocation strategy: "clever", allowed options: sequential, random',
      "6 node.ephemeral.inactivity_timeout (1m5s) is set too low, must be more than 1m5s",
      "7 node.routes.ha.probe_interval (1s) is set too low",
      '8 invalid database type "mysql", must be sqlite, sqlite3 or postgres',
      '9 dns.magic_dns must be true or false, not "maybe"',
      "10 policy.mode must be file or database",
      "11 tuning must be a section with keys of its own",
    ];
    for (const text of expected) {
      assert.ok(
        errors.some((error) => error.startsWith(text)),
        `${text}\n--\n${errors.join("\n")}`,
      );
    }
    assert.match(errors.join("\n"), /trusted_proxies\[1\] "::\/0": 0\.0\.0\.0\/0 and ::\/0 are not allowed/);
  });

  test("rules between keys are kept", async () => {
    using place = scratch();
    const cases: Readonly<Record<string, string>> = {
      "dns: {override_local_dns: true}": "dns.nameservers.global must be set when dns.override_local_dns is true",
      'prefixes: {v4: "", v6: ""}': "no IPv4 or IPv6 prefix configured, minimum one prefix is required",
      "prefixes: {v4: fd7a::/48}": "prefixes.v4: fd7a::/48 is not an IPv4 prefix",
      "derp: {server: {automatically_add_embedded_derp_region: false}}": "derp.paths",
      "noise: {private_key_path: k}\nderp: {server: {private_key_path: k}}": "two different files",
      "tls_letsencrypt_hostname: a.example.com\ntls_cert_path: c\ntls_key_path: k": "not both",
      "tls_cert_path: c": "must be set together",
      'dns: {base_domain: ""}': "dns.base_domain must be set when using MagicDNS",
      "server_url: https://hs.example.com\ndns: {base_domain: hs.example.com}": "unreachable",
      "server_url: https://hs.example.com\ndns: {base_domain: example.com}": "unreachable",
      "dns: {extra_records: [], extra_records_path: x}": "mutually exclusive",
      "oidc: {issuer: https://idp.example.com}": "oidc.client_id must be set",
      "oidc: {issuer: idp, client_id: x}": "oidc.issuer must be a URL",
      "oidc: {issuer: https://i.example.com, client_id: x, client_secret: y, client_secret_path: z}":
        "mutually exclusive",
      "oidc: {issuer: https://i.example.com, client_id: x, client_secret_path: /nowhere}":
        "cannot read /nowhere: ENOENT",
      "oidc: {pkce: {method: none}}": "pkce.method must be either 'plain' or 'S256'",
      "database: {postgres: {host: h}}": "set database.type: postgres",
      "database: {type: postgres}": "database.postgres.host must be set",
      "node: {routes: {ha: {probe_timeout: 5s}}}": "must be at least 1s and less than",
      "listen_addr: nowhere": 'listen_addr must be host:port, not "nowhere"',
      "derp: {update_frequency: 24}": "is not a duration",
    };
    for (const [text, expected] of Object.entries(cases)) {
      const loaded = await place.load(text);
      assert.ok(
        said(loaded, "error").some((error) => error.includes(expected)),
        `${text}: ${said(loaded, "error").join("; ")}`,
      );
    }
  });

  test("what is only risky does not stop the start", async () => {
    using place = scratch();
    const cases: Readonly<Record<string, string>> = {
      "prefixes: {v4: 10.0.0.0/8}": "lies outside 100.64.0.0/10",
      "derp: {server: {enabled: false}}": "there is no relay",
      'derp: {server: {stun_listen_addr: ""}}': "without STUN",
      "derp: {urls: [controlplane]}": "left out, as not an http or https URL: controlplane",
      "grpc_allow_insecure: true": "in the clear",
      "server_url: http://hs.example.com:8080\ndns: {base_domain: example.com}": "unreachable",
      "node: {expiry: soon}": "keys never expire",
      "unix_socket_permission: rwx": "using 0700",
      "log: {level: verbose}": "using info",
      "dns: {nameservers: {global: [dns.example.com]}}": "neither an address nor a URL",
      "oidc: {client_id: x}": "nobody can log in by OIDC",
      "logtail: {enabled: yes}": "write true instead of yes",
      "unix_socket: /a/very/long/path/that/goes/on/and/on/and/on/and/on/and/on/and/on/and/on/and/on/and/on/and/on/until/it/is/too/long.sock":
        "cannot be opened",
    };
    for (const [text, expected] of Object.entries(cases)) {
      const loaded = await place.load(text);
      assert.ok(loaded.config !== undefined, `${text}: ${said(loaded, "error").join("; ")}`);
      assert.ok(
        said(loaded, "warning").some((warning) => warning.includes(expected)),
        `${text}: ${said(loaded, "warning").join("; ")}`,
      );
    }
  });

  test("a relay map of its own turns the embedded relay off, as headscale's default does", async () => {
    using place = scratch();
    const enabled = async (text: string) => (await place.load(text)).config?.derp.server.enabled;
    assert.equal(await enabled("derp: {urls: [https://controlplane.tailscale.com/derpmap/default]}"), false);
    assert.equal(await enabled("derp: {urls: []}"), true);
    assert.equal(await enabled("derp: {server: {enabled: true}, urls: [https://x.example.com/map]}"), true);
  });

  test("the client secret is read from its file, with variables in the path", async () => {
    using place = scratch();
    place.write("creds/secret", "s3cret\n");
    const text =
      "oidc: {issuer: https://i.example.com, client_id: x, client_secret_path: '${CREDENTIALS_DIRECTORY}/secret'}";
    const { config } = await place.load(text, { CREDENTIALS_DIRECTORY: join(place.folder, "creds") });
    assert.equal(config?.oidc?.clientSecret, "s3cret");
  });

  test("headscale's own test configurations load as they should", async () => {
    using place = scratch();
    const load = async (name: string) =>
      loadConfig(
        place.around({ file: place.write(`conf/${name}`, readFileSync(join(headscaleConfigs, name), "utf8")) }),
      );
    const minimal = await load("minimal.yaml");
    assert.equal(minimal.config?.serverUrl, "https://derp.no");
    assert.equal(minimal.config.noise.privateKeyPath, join(place.folder, "conf/private_key.pem"));
    const policy = await load("policy-path-is-loaded.yaml");
    assert.equal(policy.config?.policy.path, "/etc/policy.hujson");
    assert.match(said(policy, "warning").join("\n"), /acl_policy_path is not used: policy.path is set/);
    const dns = await load("dns-override-true.yaml");
    assert.deepEqual(dns.config?.dns, {
      magicDns: true,
      baseDomain: "derp2.no",
      overrideLocalDns: true,
      nameservers: { global: ["1.1.1.1", "1.0.0.1"], split: {} },
      searchDomains: [],
      extraRecords: [],
      extraRecordsPath: "",
    } satisfies Config["dns"]);
    const refused = await load("dns-override-true-error.yaml");
    assert.equal(refused.config, undefined);
    assert.ok(
      said(refused, "error").includes("dns.nameservers.global must be set when dns.override_local_dns is true"),
    );
  });

  test("what headscale's example file sets is understood without a warning", async () => {
    using place = scratch();
    const loaded = await place.load(shippedExample);
    assert.deepEqual([...said(loaded, "error"), ...said(loaded, "warning")], []);
    assert.equal(loaded.config?.derp.server.enabled, false);
    assert.equal(loaded.config.node.ephemeral.inactivityTimeout, 1_800_000);
    assert.deepEqual(loaded.config.node.routes.ha, { probeInterval: 10_000, probeTimeout: 5000 });
    assert.equal(loaded.config.derp.server.privateKeyPath, "/var/lib/headscale/derp_server_private.key");
  });

  test("what this version does not do yet is warned about where it is asked for", async () => {
    using place = scratch();
    const asked = await place.load("control: {threads: 2}\ntuning: {batch_change_delay: 0s}\n");
    assert.ok(asked.config !== undefined);
    const text = "control.threads is understood, but this version does nothing with it yet";
    assert.deepEqual(
      said(asked, "warning").filter((warning) => warning.includes("yet")),
      notBuilt.has("control.threads") ? [text] : [],
    );
  });

  test("no finding shows a secret", async () => {
    using place = scratch();
    const secret = "correct-horse-battery";
    const loaded = await place.load(
      `database: {type: postgres, postgres: {host: h, name: n, pass: ${secret}, passw: ${secret}}}\noidc: {client_secret: [${secret}], client_secrt: ${secret}}\ncli: {api_key: ${secret}}\ndb_pass: \${P}\n`,
      { P: secret, HEADSCALE_CLI_API_KEY: secret, HEADSCALE_DB_PASSWORD: secret },
    );
    assert.ok(loaded.findings.length > 5);
    assert.ok(!JSON.stringify(loaded.findings).includes(secret));
  });

  test("any text is a configuration or a list of errors", async () => {
    using place = scratch();
    const words = "dns server_url prefixes v4 : - [ ] { } ' *a &a << | # true null 0 é ? ! %".split(" ");
    const word = fc.constantFrom(": ", "\n", "\n  ", "\t", '"', ...words);
    await fc.assert(
      fc.asyncProperty(fc.array(word, { maxLength: 15 }), async (words) => {
        const { config, findings } = await place.load(words.join(""));
        assert.equal(
          config === undefined,
          findings.some(({ severity }) => severity === "error"),
        );
      }),
      { numRuns: 150 },
    );
  });
});

/** A value that differs from the default where there is one of that kind. */
function sampleOf(key: string, type: string): string {
  const known: Readonly<Record<string, string>> = {
    server_url: "https://hs.example.com",
    "prefixes.v4": "100.80.0.0/16",
    "prefixes.v6": "fd7a:115c:a1e0:1::/64",
    "oidc.issuer": "https://idp.example.com",
    "oidc.client_secret": "",
    "oidc.client_secret_path": "",
    "dns.extra_records_path": "",
    tls_letsencrypt_hostname: "",
    "node.routes.ha.probe_interval": "20s",
    "node.routes.ha.probe_timeout": "10s",
    "dns.base_domain": "tail.example.net",
    "noise.private_key_path": "/k/noise",
    "log.level": "debug",
    "log.format": "json",
    "node.expiry": "90d",
    "audit.retention": "2y",
    "oidc.extra_params": '{"a":"b"}',
    "dns.nameservers.split": '{"a.b":["1.1.1.1"]}',
    "dns.nameservers.global": "1.1.1.1",
    "dns.extra_records": '[{"name":"a","type":"A","value":"100.64.0.1"}]',
    trusted_proxies: "10.0.0.0/8",
    "database.type": "postgres",
    "derp.urls": "https://x.example.com/map",
    "derp.server.automatically_add_embedded_derp_region": "true",
  };
  const byType: Readonly<Record<string, string>> = {
    "true or false": "true",
    number: "7",
    duration: "7m",
    "host:port": "127.0.0.1:7777",
    list: "x y",
    "list of paths": "/p",
    path: "/p",
    "octal file mode": "0700",
    "true, false or an sslmode": "require",
  };
  return known[key] ?? byType[type] ?? (type.includes(" or ") ? (type.split(" or ")[0] ?? "") : "text");
}

function yamlOf(text: string): string {
  return /^[[{]/.test(text) ? text : JSON.stringify(text);
}

/** The values of headscale's shipped example, as its reference lists them. */
const shippedExample = `
server_url: http://127.0.0.1:8080
listen_addr: 127.0.0.1:8080
metrics_listen_addr: 127.0.0.1:9090
grpc_listen_addr: 127.0.0.1:50443
grpc_allow_insecure: false
noise: {private_key_path: /var/lib/headscale/noise_private.key}
prefixes: {v4: 100.64.0.0/10, v6: "fd7a:115c:a1e0::/48", allocation: sequential}
derp:
  server:
    enabled: false
    region_id: 999
    region_code: headscale
    region_name: Headscale Embedded DERP
    verify_clients: true
    stun_listen_addr: "0.0.0.0:3478"
    private_key_path: /var/lib/headscale/derp_server_private.key
    automatically_add_embedded_derp_region: true
    ipv4: 198.51.100.1
    ipv6: 2001:db8::1
  urls: [https://controlplane.tailscale.com/derpmap/default]
  paths: []
  auto_update_enabled: true
  update_frequency: 3h
disable_check_updates: false
node:
  expiry: 0
  ephemeral: {inactivity_timeout: 30m}
  routes: {ha: {probe_interval: 10s, probe_timeout: 5s}}
database:
  type: sqlite
  debug: false
  gorm: {prepare_stmt: true, parameterized_queries: true, skip_err_record_not_found: true, slow_threshold: 1000}
  sqlite: {path: /var/lib/headscale/db.sqlite, write_ahead_log: true, wal_autocheckpoint: 1000}
acme_url: https://acme-v02.api.letsencrypt.org/directory
acme_email: ""
tls_letsencrypt_hostname: ""
tls_letsencrypt_cache_dir: /var/lib/headscale/cache
tls_letsencrypt_challenge_type: HTTP-01
tls_letsencrypt_listen: ":http"
tls_cert_path: ""
tls_key_path: ""
log: {level: info, format: text}
policy: {mode: file, path: ""}
dns:
  magic_dns: true
  base_domain: example.com
  override_local_dns: true
  nameservers:
    global: [1.1.1.1, 1.0.0.1, "2606:4700:4700::1111", "2606:4700:4700::1001"]
    split: {}
  search_domains: []
  extra_records: []
unix_socket: /var/run/headscale/headscale.sock
unix_socket_permission: "0770"
logtail: {enabled: false}
taildrop: {enabled: true}
auto_update: {enabled: false}
`;
