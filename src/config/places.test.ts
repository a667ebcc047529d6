import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { loadCliConfig } from "./cli-config.ts";
import { loadConfig } from "./load.ts";
import { defaultDataDir, surroundings } from "./places.ts";
import { said, scratch } from "./scratch.test-data.ts";

suite("where the configuration is", () => {
  test("the machine's folders come first, then the home, then the working directory", async () => {
    using place = scratch();
    const found = async () => (await loadConfig(place.around())).file;
    assert.equal(await found(), undefined);
    const places = [
      "work/config.yml",
      "home/.headscale/config.yaml",
      "home/.hawser/config.json",
      "etc/headscale/config.yaml",
      "etc/hawser/config.yaml",
    ];
    for (const name of places) {
      const path = place.write(name, "{}\n");
      assert.equal(await found(), path);
    }
  });

  test("a file that is named must be there: by the flag, HAWSER_CONFIG or HEADSCALE_CONFIG, in this order", async () => {
    using place = scratch();
    const [one, two] = [place.write("one.yaml", ""), place.write("two.yaml", "")];
    const found = async (env: Record<string, string>, file?: string) =>
      (await loadConfig(place.around({ env, file }))).file;
    assert.equal(await found({ HEADSCALE_CONFIG: one }), one);
    assert.equal(await found({ HEADSCALE_CONFIG: one, HAWSER_CONFIG: two }), two);
    assert.equal(await found({ HEADSCALE_CONFIG: one, HAWSER_CONFIG: one }, two), two);
    const missing = await loadConfig(place.around({ file: "nowhere.yaml" }));
    assert.equal(missing.config, undefined);
    assert.deepEqual(said(missing, "error"), [`cannot read ${join(place.folder, "work/nowhere.yaml")}: no such file`]);
  });

  test("other formats of headscale's are named instead of passed over", async () => {
    using place = scratch();
    place.write("etc/headscale/config.toml", "a = 1\n");
    const { config, findings } = await loadConfig(place.around());
    assert.equal(config, undefined);
    assert.match(said({ findings }, "error").join(), /config.toml: only YAML and JSON are read/);
  });

  test("faults of the text come with their lines", async () => {
    using place = scratch();
    const broken = await place.load("a: 1\nb: [1\nc: 2\n");
    assert.equal(broken.config, undefined);
    assert.ok(broken.findings.every(({ severity, line }) => severity === "error" && line !== null && line >= 2));
    const twice = await place.load("server_url: https://a.b\nserver_url: https://c.d\n");
    assert.deepEqual(
      twice.findings.map(({ line, text }) => [line, /unique/.test(text)]),
      [[2, true]],
    );
    assert.match(said(await place.load("- a\n- b\n"), "error").join(), /must be a list of keys with values/);
  });

  test("anchors, aliases and merge keys are followed, within bounds", async () => {
    using place = scratch();
    const { config } = await place.load(
      "oidc:\n  <<: &x {allowed_users: [a, b]}\n  allowed_domains: &d [c]\n  allowed_groups: *d\n  issuer: https://i.example.com\n  client_id: x\n",
    );
    assert.deepEqual(
      [config?.oidc?.allowedUsers, config?.oidc?.allowedDomains, config?.oidc?.allowedGroups],
      [["a", "b"], ["c"], ["c"]],
    );
    const layers = Array.from({ length: 30 }, (_, i) => `l${i + 1}: &l${i + 1} [*l${i}, *l${i}, *l${i}]`);
    const bomb = await place.load(`l0: &l0 [x]\n${layers.join("\n")}\n`);
    assert.match(said(bomb, "error").join(), /too many values/);
    assert.match(said(await place.load(`a: ${"x".repeat(1_100_000)}`), "error").join(), /larger than/);
  });

  test("data is in the checkout, or where installed programs keep theirs", () => {
    using place = scratch();
    const dataOf = (programRoot: string | undefined) => defaultDataDir(surroundings({ programRoot }));
    assert.equal(dataOf(join(place.folder, "checkout")), join(place.folder, "checkout/data"));
    assert.equal(dataOf("/usr/lib/hawser"), "/var/lib/hawser");
    assert.equal(dataOf("/opt/hawser"), "/var/lib/hawser");
    assert.equal(dataOf(undefined), "/var/lib/hawser");
    assert.match(surroundings().machineAddress(), /^[0-9.]+$|^\[[0-9a-f:]+\]$/);
  });
});

suite("where data is kept under a configuration of headscale's", () => {
  const dataOf = async (text: string): Promise<string | undefined> => {
    using place = scratch();
    const file = place.write("conf/config.yaml", text);
    const { config } = await loadConfig(place.around({ file }));
    assert.ok(config !== undefined);
    // The commands look for the socket where the server makes it.
    assert.equal((await loadCliConfig(place.around({ file }))).config?.unixSocket, config.unixSocket);
    return config.dataDir.replace(place.folder, "");
  };
  const noise = "noise: {private_key_path: /keys/noise.key}\n";

  test("with the database, which the user who ran headscale may write", async () => {
    assert.equal(
      await dataOf(`${noise}database: {type: sqlite, sqlite: {path: /var/lib/headscale/db.sqlite}}\n`),
      "/var/lib/headscale",
    );
    assert.equal(await dataOf("database: {sqlite: {path: lib/db.sqlite}}\n"), "/conf/lib");
    assert.equal(await dataOf("db_path: /old/db.sqlite\n"), "/old");
  });

  test("on PostgreSQL with the server's identity", async () => {
    const postgres = "database: {type: postgres, postgres: {host: h, name: n}}\n";
    assert.equal(await dataOf(noise + postgres), "/keys");
    assert.equal(await dataOf(postgres), "/program/data");
  });

  test("data_dir says otherwise, and a Noise key alone says nothing", async () => {
    assert.equal(await dataOf(`data_dir: /d\ndatabase: {sqlite: {path: /var/lib/headscale/db.sqlite}}\n`), "/d");
    assert.equal(await dataOf(noise), "/program/data");
  });
});

suite("the commands' part of the configuration", () => {
  test("it is what the server uses", async () => {
    using place = scratch();
    for (const text of [
      "",
      "unix_socket: x.sock\ncli: {address: 'h:1', api_key: k, timeout: 7s}\nlog: {level: debug}\ndata_dir: /d\n",
    ]) {
      const file = place.write("conf/config.yaml", text);
      const [whole, part] = [await loadConfig(place.around({ file })), await loadCliConfig(place.around({ file }))];
      assert.ok(whole.config !== undefined && part.config !== undefined);
      const { cli, unixSocket, log, disableCheckUpdates } = whole.config;
      assert.deepEqual(part.config, { cli, unixSocket, log, disableCheckUpdates });
    }
  });

  test("faults elsewhere do not keep a command from running", async () => {
    using place = scratch();
    mkdirSync(join(place.folder, "work"), { recursive: true });
    place.write("work/config.yaml", "server_url: nonsense\ndatabase: {type: mysql}\nunix_socket: /s.sock\n");
    const { config, findings } = await loadCliConfig(place.around());
    assert.equal(config?.unixSocket, "/s.sock");
    assert.deepEqual(findings, []);
    const broken = await loadCliConfig(place.around({ env: { HAWSER_CLI_TIMEOUT: "soon" } }));
    assert.equal(broken.config, undefined);
  });
});
