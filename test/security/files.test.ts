// What is on disk belongs to the owner alone, however permissive the process was started; and what was left open is said.
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { controlWorld } from "../control-world.ts";

/** Public by nature: a cached map of relays. And what the test world itself writes. */
const notSecret = new Set(["derp_map.json", "config.yaml", "cert.pem", "key.pem"]);

test("files of a server that runs with an open mask are closed to others", async (context) => {
  const mask = process.umask(0);
  context.after(() => process.umask(mask));
  const world = await controlWorld(context, { extraConfig: "control: { threads: 1 }" });
  await world.join();
  const { dataDir, unixSocket } = world.server.config;
  const seen: string[] = [];
  for (const name of readdirSync(dataDir, { recursive: true, encoding: "utf8" })) {
    const path = join(dataDir, name);
    if (!notSecret.has(name) && path !== unixSocket) {
      seen.push(name);
      assert.equal(statSync(path).mode & 0o077, 0, `${name} has mode ${(statSync(path).mode & 0o777).toString(8)}`);
    }
  }
  for (const name of ["db.sqlite", "noise_private.key", "derp.key", "derp_tls.pem", "edge.sock"]) {
    assert.ok(seen.includes(name), `${name} is among ${seen.join(", ")}`);
  }
  assert.equal(statSync(unixSocket).mode & 0o007, 0, "the world may not open the socket");
});

test("a Noise key that others can read is said loudly, and used", async (context) => {
  const world = await controlWorld(context);
  const { config } = world.server;
  assert.deepEqual(world.server.problems, []);
  chmodSync(config.noise.privateKeyPath, 0o644);
  await world.restart();
  assert.match(world.server.problems.join("\n"), /can be read by others/);
  assert.equal(statSync(config.noise.privateKeyPath).mode & 0o777, 0o644, "what others own is not changed");
});

test("a configuration with secrets that others can read is warned about", async (context) => {
  const { writeFileSync } = await import("node:fs");
  const { loadConfig } = await import("../../src/config/load.ts");
  const folder = mkdtempSync(join(tmpdir(), "hawser-files-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "config.yaml");
  const warnings = async (text: string, mode: number): Promise<string> => {
    writeFileSync(file, `server_url: http://127.0.0.1:1\n${text}`);
    chmodSync(file, mode);
    const { findings } = await loadConfig({ file, env: {}, workingDir: folder });
    return findings
      .filter(({ text: said }) => said.includes("can be read by"))
      .map(({ severity, text: said }) => `${severity}: ${said}`)
      .join("\n");
  };
  const secret = "cli: { address: control.example.com, api_key: hskey-api-x }\n";
  assert.match(await warnings(secret, 0o644), /^warning: cli\.api_key.*chmod 600/);
  assert.equal(await warnings(secret, 0o600), "");
  assert.equal(await warnings("log: { level: info }\n", 0o644), "");
});
