// An installation of the program in a folder of its own: a server process on loopback, commands, simulated clients.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { SimClient, type SimOptions } from "../sim/client.ts";
import { fetchServerKey } from "../sim/dial.ts";
import { freePort } from "./free-port.ts";
import { generousSeconds } from "./patience.ts";
import { type Output, runProgram, type ServerProcess, startServerProcess } from "./hawser-process.ts";
import { scratchFolder } from "./scratch-folder.ts";

export interface ProgramWorld {
  readonly folder: string;
  readonly url: URL;
  start(): Promise<ServerProcess>;
  /** What `serve` says when it must not start. */
  refusal(): Promise<Output>;
  run(...words: readonly string[]): Promise<Output>;
  /** Runs a command that must succeed; gives what it printed as JSON. */
  json(...words: readonly string[]): Promise<unknown>;
  /** A client that has not done anything yet; it is closed when the test ends. */
  client(options: Partial<SimOptions> & { readonly hostname: string }): Promise<SimClient>;
}

/** `database` is the configuration's section; SQLite in the folder unless given. */
export async function programWorld(context: TestContext, database?: string): Promise<ProgramWorld> {
  const folder = scratchFolder(context, "program");
  const port = await freePort();
  const url = new URL(`http://127.0.0.1:${port}`);
  const file = join(folder, "config.yaml");
  writeFileSync(
    file,
    `data_dir: ${folder}
server_url: http://127.0.0.1:${port}
listen_addr: 127.0.0.1:${port}
metrics_listen_addr: ""
noise: { private_key_path: ${folder}/noise_private.key }
prefixes: { v4: 100.64.0.0/10, v6: fd7a:115c:a1e0::/48 }
database: ${database ?? `{ type: sqlite, sqlite: { path: ${folder}/db.sqlite } }`}
unix_socket: ${folder}/hawser.sock
derp: { server: { enabled: true, region_id: 999, stun_listen_addr: "127.0.0.1:0", private_key_path: ${folder}/derp.key }, urls: [] }
dns: { magic_dns: true, base_domain: program.internal, override_local_dns: false }
`,
    { mode: 0o600 },
  );
  const words = ["--config", file];
  const run = (...more: readonly string[]): Promise<Output> => runProgram([...words, ...more], {});
  return {
    folder,
    url,
    async start() {
      const server = await startServerProcess(words, url.origin, {});
      context.after(() => server.kill());
      return server;
    },
    refusal: () => run("serve"),
    run,
    async json(...more) {
      const { code, stdout, stderr } = await run(...more, "--output", "json");
      assert.equal(code, 0, stderr + stdout);
      return JSON.parse(stdout) as unknown;
    },
    async client(options) {
      const serverPublic = await fetchServerKey(url, 142);
      const dialTimeoutMs = generousSeconds * 1000;
      const client = new SimClient({ url, serverPublic, strict: true, dialTimeoutMs, ...options });
      context.after(() => client.close());
      return client;
    },
  };
}
