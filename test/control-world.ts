// A whole server in this process on loopback, with simulated clients to join it: sockets, store and clock are real.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { SimClient, type SimOptions } from "../sim/client.ts";
import { fetchServerKey } from "../sim/dial.ts";
import { makeLeaf } from "../src/relay/certificate.ts";
import { loadConfig } from "../src/config/load.ts";
import { createLogger, type Logger } from "../src/ops/logger.ts";
import { startServer, type RunningServer } from "../src/server.ts";
import type { Actor } from "../src/tailnet/contract.ts";
import type { User } from "../src/tailnet/model.ts";
import { freePort } from "./free-port.ts";
import { generousSeconds } from "./patience.ts";

export interface KeyOptions {
  readonly reusable?: boolean;
  readonly ephemeral?: boolean;
  readonly tags?: readonly string[];
  /** Milliseconds from now; one hour unless said otherwise. */
  readonly expiresIn?: number;
}

export interface ControlWorld {
  readonly url: URL;
  readonly server: RunningServer;
  readonly serverPublic: Uint8Array;
  readonly user: User;
  readonly actor: Actor;
  /** A client that has not done anything yet; it is closed when the test ends. */
  readonly client: (options?: Partial<SimOptions>) => SimClient;
  readonly authKey: (options?: KeyOptions) => Promise<string>;
  /** A client that has registered and whose map is open. */
  readonly join: (options?: Partial<SimOptions>) => Promise<SimClient>;
  /** Stops the server and starts it again on the same data and port. */
  readonly restart: () => Promise<void>;
}

const actor: Actor = { kind: "server", id: "test", from: "" };
/** HAWSER_TEST_LOG=debug shows what the server says. */
const level = process.env["HAWSER_TEST_LOG"] === "debug" ? "debug" : "silent";
const quiet = createLogger({ level, format: "text" });

export interface WorldOptions {
  /** Serve TLS with a certificate signed by itself. */
  readonly tls?: boolean;
  /** Lines of YAML. */
  readonly extraConfig?: string;
  /** Serve metrics on a free port. */
  readonly metrics?: boolean;
  /** Silent unless given. */
  readonly log?: Logger;
}

export async function controlWorld(context: TestContext, options: WorldOptions = {}): Promise<ControlWorld> {
  const { log = quiet } = options;
  const folder = mkdtempSync(join(tmpdir(), "hawser-control-"));
  const port = await freePort();
  const file = join(folder, "config.yaml");
  const certificate = options.tls ? makeLeaf(["127.0.0.1"], Date.now() - 60_000, Date.now() + 3_600_000) : undefined;
  writeFileSync(join(folder, "cert.pem"), certificate?.certPem ?? "");
  writeFileSync(join(folder, "key.pem"), certificate?.keyPem ?? "");
  writeFileSync(
    file,
    `data_dir: ${folder}
server_url: ${options.tls ? "https" : "http"}://127.0.0.1:${port}
listen_addr: 127.0.0.1:${port}
metrics_listen_addr: "${options.metrics ? "127.0.0.1:0" : ""}"
noise: { private_key_path: ${folder}/noise_private.key }
prefixes: { v4: 100.64.0.0/10, v6: fd7a:115c:a1e0::/48 }
database: { type: sqlite, sqlite: { path: ${folder}/db.sqlite } }
unix_socket: ${folder}/hawser.sock
derp: { server: { enabled: true, region_id: 999, stun_listen_addr: "127.0.0.1:0", private_key_path: ${folder}/derp.key }, urls: [] }
dns: { magic_dns: true, base_domain: sim.internal, override_local_dns: false }
${options.tls ? `tls_cert_path: ${folder}/cert.pem\ntls_key_path: ${folder}/key.pem` : ""}
${options.extraConfig ?? ""}
`,
  );
  const { config, findings } = await loadConfig({ file, env: {}, workingDir: folder });
  if (config === undefined) {
    throw new Error(`the test's configuration is refused: ${findings.map(({ text }) => text).join("; ")}`);
  }
  let server = await startServer(config, { log });
  const made = await server.tailnet.createUser(actor, { name: "alice" });
  if (!made.ok) {
    throw new Error(made.error.text);
  }
  const user = made.value;
  const url = new URL(config.serverUrl);
  const serverPublic = await fetchServerKey(url, 142, certificate?.certPem);
  const clients: SimClient[] = [];
  let count = 0;

  context.after(async () => {
    for (const client of clients) {
      client.close();
    }
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
    const faults = clients.flatMap((client) => client.faults);
    assert.deepEqual(faults, [], "what the server sent broke a rule that clients rely on");
  });

  const client = (options: Partial<SimOptions> = {}): SimClient => {
    const dialTimeoutMs = generousSeconds * 1000;
    const sim = new SimClient({
      url,
      serverPublic,
      hostname: `sim-${++count}`,
      strict: true,
      dialTimeoutMs,
      ...options,
    });
    clients.push(sim);
    return sim;
  };
  const authKey = async (options: KeyOptions = {}): Promise<string> => {
    const { reusable = false, ephemeral = false, tags = [], expiresIn = 3_600_000 } = options;
    const key = await server.tailnet.createPreAuthKey(actor, {
      user: tags.length > 0 ? null : user.id,
      reusable,
      ephemeral,
      tags,
      expiration: Date.now() + expiresIn,
    });
    if (!key.ok) {
      throw new Error(key.error.text);
    }
    return key.value.secret;
  };
  return {
    url,
    serverPublic,
    user,
    actor,
    client,
    authKey,
    get server() {
      return server;
    },
    async join(options = {}) {
      const sim = client(options);
      await sim.join({ authKey: await authKey() });
      await sim.openMap();
      return sim;
    },
    async restart() {
      await server.stop();
      server = await startServer(config, { log });
    },
  };
}
