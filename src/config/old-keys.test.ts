import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { allKeys } from "./keys.ts";
import { removedKeys, renamedKeys } from "./old-keys.ts";
import { said, scratch } from "./scratch.test-data.ts";
import { closestKey, editDistance } from "./suggest.ts";

suite("old spellings", () => {
  test("each renamed key is read as the key of today and the warning names that", async () => {
    using place = scratch();
    const values: Readonly<Record<string, string>> = {
      ip_prefixes: "[100.70.0.0/16, 'fd7a:115c:a1e0:7::/64']",
      db_type: "sqlite3",
      db_port: "5433",
      db_ssl: "true",
      ephemeral_node_inactivity_timeout: "30m",
      randomize_client_port: "true",
      "oidc.expiry": "30d",
      "derp.server.stun.listen_addr": "127.0.0.1:3479",
      "dns_config.magic_dns": "false",
      "dns_config.override_local_dns": "false",
      "dns_config.base_domain": "old.example.net",
      "dns_config.extra_records": "[{name: a, type: A, value: 100.64.0.1}]",
      "tuning.batched_change_delay": "250ms",
      "tuning.node_mapsession_channel_size": "32",
    };
    const lists = ["restricted", "nameservers.restricted", "restricted_nameservers"];
    for (const { old, today, translate } of renamedKeys) {
      const written =
        values[old] ??
        (lists.some((end) => old.endsWith(end))
          ? "{a.example.com: [9.9.9.9]}"
          : old.endsWith("servers")
            ? "[9.9.9.9]"
            : "old");
      const before = await place.load(`server_url: https://x.example.com\n"${old}": ${written}\n`);
      assert.match(
        said(before, "warning").join("\n"),
        new RegExp(`${old.replaceAll(".", "\\.")} is now ${today}`),
        old,
      );
      const line = before.findings.find(({ kind }) => kind === "renamed")?.line;
      assert.equal(line, 2, old);
      if (old !== "ip_prefixes") {
        const [target] = translate("x");
        const after = await place.load(`server_url: https://x.example.com\n"${target?.key}": ${written}\n`);
        assert.deepEqual(before.config, after.config, old);
        assert.ok(
          allKeys.some(({ key }) => key === target?.key),
          old,
        );
      }
    }
  });

  test("ip_prefixes is split by family", async () => {
    using place = scratch();
    const { config } = await place.load("ip_prefixes:\n  - fd7a:115c:a1e0::/48\n  - 100.65.0.0/16\n");
    assert.deepEqual([config?.prefixes.v4?.bits, config?.prefixes.v6?.bits], [16, 48]);
  });

  test("where both spellings stand, today's counts", async () => {
    using place = scratch();
    const loaded = await place.load("db_type: postgres\ndatabase: {type: sqlite}\n");
    assert.equal(loaded.config?.database.type, "sqlite");
    assert.match(said(loaded, "warning").join("\n"), /db_type is not used: database.type is set/);
  });

  test("each removed key is explained and stops nothing", async () => {
    using place = scratch();
    for (const { key, reason } of removedKeys) {
      const loaded = await place.load(`"${key}": {name: x}\n`);
      assert.ok(loaded.config !== undefined, key);
      assert.ok(said(loaded, "warning").includes(`${key} has no effect: ${reason}`), key);
    }
  });

  test("variables have their old spellings too", async () => {
    using place = scratch();
    const loaded = await place.load("", { HEADSCALE_DB_PATH: "/x/db", HEADSCALE_IP_PREFIXES: "100.66.0.0/16" });
    assert.ok(loaded.config?.database.type === "sqlite");
    assert.equal(loaded.config.database.path, "/x/db");
    assert.equal(loaded.config.prefixes.v4?.bits, 16);
    assert.match(said(loaded, "warning").join("\n"), /HEADSCALE_DB_PATH is now database.sqlite.path/);
  });

  test("variables inside the file are replaced, with a warning that names the better way", async () => {
    using place = scratch();
    const text = "database: {type: postgres, postgres: {host: h, name: n, pass: 'a${DB_PASSWORD}b'}}\n";
    const loaded = await place.load(text, { DB_PASSWORD: "pw" });
    assert.ok(loaded.config?.database.type === "postgres");
    assert.equal(loaded.config.database.pass, "apwb");
    assert.match(said(loaded, "warning").join("\n"), /use the variable HAWSER_DATABASE_POSTGRES_PASS/);
    const unset = await place.load(text);
    assert.ok(unset.config?.database.type === "postgres");
    assert.equal(unset.config.database.pass, "a${DB_PASSWORD}b");
    assert.match(said(unset, "warning").join("\n"), /is not set in the environment/);
  });
});

suite("unknown keys", () => {
  test("they are warned about with their line and the likely meaning", async () => {
    using place = scratch();
    const loaded = await place.load(
      "sever_url: https://x\ndns:\n  magicdns: true\n  quux: 1\npolicy:\n  type: file\ndatabse:\n  type: sqlite\nzzz: {issuer: https://x}\n",
    );
    const unknown = loaded.findings.filter(({ kind }) => kind === "unknown").map(({ line, text }) => [line, text]);
    assert.deepEqual(unknown, [
      [1, "sever_url is not a key and has no effect; did you mean server_url?"],
      [3, "dns.magicdns is not a key and has no effect; did you mean dns.magic_dns?"],
      [
        4,
        "dns.quux is not a key and has no effect; dns has magic_dns, base_domain, override_local_dns, nameservers.global, nameservers.split, search_domains, extra_records, extra_records_path",
      ],
      [6, "policy.type is not a key and has no effect; policy has mode, path"],
      [7, "databse is not a key and has no effect; did you mean database?"],
      [9, "zzz.issuer is not a key and has no effect; did you mean oidc.issuer?"],
    ]);
    assert.ok(loaded.config !== undefined);
  });

  test("of variables only those that look like a mistake are warned about", async () => {
    using place = scratch();
    const loaded = await place.load("server_url: https://x.example.com\ndns: {base_domain: a.b}\n", {
      HEADSCALE_SERVER_URLS: "x",
      HEADSCALE_SERVICE_HOST: "10.0.0.1",
      HEADSCALE_PORT_8080_TCP: "tcp://10.0.0.1:8080",
      HEADSCALE_DEBUG_PROFILING_ENABLED: "1",
      HEADSCALE_SOMETHING_ELSE_ALTOGETHER: "1",
      HAWSER_CONFIG: "",
      OTHER: "1",
    });
    assert.deepEqual(said(loaded, "warning"), [
      "HEADSCALE_SERVER_URLS sets no key and has no effect; did you mean HEADSCALE_SERVER_URL?",
    ]);
  });

  test("a variable that is today's is not called old because an old key had it too", async () => {
    using place = scratch();
    const { config, findings } = await place.load("server_url: https://x.example.com\ndns: {base_domain: a.b}\n", {
      HEADSCALE_DERP_SERVER_STUN_LISTEN_ADDR: ":3479",
    });
    assert.deepEqual([config?.derp.server.stunListenAddr?.port, said({ findings }, "warning")], [3479, []]);
  });

  test("the closest name is a few edits away, or none", () => {
    assert.equal(editDistance("abcd", "abdc"), 1);
    assert.equal(editDistance("", "abc"), 3);
    assert.equal(editDistance("kitten", "sitting"), 3);
    assert.equal(closestKey("listen_adr", ["listen_addr", "log.level"]), "listen_addr");
    assert.equal(closestKey("quite_different", ["listen_addr", "log.level"]), undefined);
    assert.equal(closestKey("x".repeat(100_000), ["x".repeat(100_000)]), undefined);
  });
});
