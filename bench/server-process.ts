// The real server in a process of its own, and what the kernel says of its cost.
import { spawn, execFile, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { fetchServerKey } from "../sim/dial.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..");
const program = join(root, "bin", "hawser");
/** Kernel clock ticks of /proc/PID/stat in a second. */
const ticksPerSecond = 100;

export interface Usage {
  /** Seconds of CPU, user and system, all threads. */
  readonly cpu: number;
  /** Resident bytes. */
  readonly rss: number;
}

export interface ServerOptions {
  /** Lines of YAML at the end of its configuration. */
  readonly extraConfig?: string;
  /** `collect()` works. */
  readonly collectable?: boolean;
}

export class ServerProcess {
  readonly url: URL;
  readonly folder: string;
  readonly #config: string;
  readonly #metricsPort: number;
  readonly #collectable: boolean;
  #child: ChildProcess | undefined;

  private constructor(
    folder: string,
    port: number,
    metricsPort: number,
    { extraConfig = "", collectable = false }: ServerOptions,
  ) {
    this.#metricsPort = metricsPort;
    this.#collectable = collectable;
    this.folder = folder;
    this.url = new URL(`http://127.0.0.1:${port}`);
    this.#config = join(folder, "config.yaml");
    writeFileSync(
      this.#config,
      `data_dir: ${folder}
server_url: http://127.0.0.1:${port}
listen_addr: 127.0.0.1:${port}
metrics_listen_addr: 127.0.0.1:${metricsPort}
noise: { private_key_path: ${folder}/noise_private.key }
prefixes: { v4: 100.64.0.0/10, v6: fd7a:115c:a1e0::/48 }
policy: { mode: database }
database: { type: sqlite, sqlite: { path: ${folder}/db.sqlite } }
unix_socket: ${folder}/hawser.sock
derp:
  server: { enabled: true, region_id: 999, stun_listen_addr: "127.0.0.1:0", private_key_path: ${folder}/derp.key }
  urls: []
dns: { magic_dns: true, base_domain: bench.internal, override_local_dns: false }
${extraConfig}
`,
    );
  }

  /** Starts a server with an empty database; its log goes to a file in its folder. */
  static async start(options: ServerOptions = {}): Promise<ServerProcess> {
    const folder = mkdtempSync(join(tmpdir(), "hawser-bench-"));
    const server = new ServerProcess(folder, await freePort(), await freePort(), options);
    await server.launch();
    return server;
  }

  /** Starts it again on the same data. Resolves with the milliseconds until it answers. */
  async launch(): Promise<number> {
    const log = openSync(join(this.folder, "server.log"), "a");
    const started = performance.now();
    const hook = pathToFileURL(join(import.meta.dirname, "collect-on-signal.ts")).href;
    const child = spawn(program, ["serve", "--config", this.#config], {
      stdio: ["ignore", log, log],
      env: this.#collectable
        ? { ...process.env, NODE_OPTIONS: `--expose-gc --import=${hook}`, HAWSER_BENCH_COLLECTED: this.#collected }
        : process.env,
    });
    closeSync(log);
    this.#child = child;
    for (;;) {
      if (child.exitCode !== null) {
        throw new Error(`the server ended:\n${this.log().slice(-2000)}`);
      }
      try {
        await fetchServerKey(this.url, 142);
        return performance.now() - started;
      } catch {
        if (performance.now() - started > 60_000) {
          throw new Error(`the server does not answer:\n${this.log().slice(-2000)}`);
        }
        await new Promise((done) => setTimeout(done, 20));
      }
    }
  }

  log(): string {
    return readFileSync(join(this.folder, "server.log"), "utf8");
  }

  async cli(...args: readonly string[]): Promise<string> {
    const { stdout } = await run(program, ["--config", this.#config, ...args], { maxBuffer: 256 * 1024 * 1024 });
    return stdout;
  }

  async createUser(name: string): Promise<{ readonly id: string; readonly name: string }> {
    const made = JSON.parse(await this.cli("users", "create", name, "--output", "json")) as { id: number | string };
    return { id: String(made.id), name };
  }

  /** A key of a fresh user that any number of nodes may use. */
  async reusableKey(): Promise<string> {
    return this.#key("--user", (await this.createUser("bench")).id);
  }

  /** A key of a fresh user for any number of nodes that are deleted when they leave. */
  async ephemeralKey(): Promise<string> {
    return this.#key("--ephemeral", "--user", (await this.createUser("bench")).id);
  }

  /** A key that makes any number of nodes with this tag. */
  taggedKey(tag: string): Promise<string> {
    return this.#key("--tags", tag);
  }

  async #key(...owner: readonly string[]): Promise<string> {
    const common = ["preauthkeys", "create", "--reusable", "--expiration", "24h", "--output", "json"];
    return (JSON.parse(await this.cli(...common, ...owner)) as { key: string }).key;
  }

  /** What the server counts, by name, with labels as they stand in the text. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const answer = await fetch(`http://127.0.0.1:${this.#metricsPort}/metrics`, {
      // A kept connection may be closed by the server just as it is used again, once in half an hour.
      headers: { connection: "close" },
    });
    const lines = (await answer.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(
      lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
    );
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  usage(): Usage {
    const { pid } = this;
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is a name in brackets that may hold anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return {
      cpu: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
      rss: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024,
    };
  }

  get #collected(): string {
    return join(this.folder, "collected");
  }

  /**
   * Makes a collectable server collect its garbage, so that what it still holds is what it keeps: resolves with the bytes
   * of its heap right then, when its other threads have had time for theirs.
   */
  async collect(): Promise<number> {
    const file = this.#collected;
    rmSync(file, { force: true });
    this.#child?.kill("SIGUSR2");
    const start = performance.now();
    await new Promise((done) => setTimeout(done, 500));
    while (!existsSync(file)) {
      if (performance.now() - start > 10_000) {
        throw new Error("the server does not collect its garbage");
      }
      await new Promise((done) => setTimeout(done, 20));
    }
    return Number(readFileSync(file, "utf8"));
  }

  /** Ends the process with this signal and waits for it. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) {
      return;
    }
    const ended = new Promise<void>((done) => child.once("exit", () => done()));
    child.kill(signal);
    await ended;
  }

  /** Ends it and removes its folder. */
  async discard(): Promise<void> {
    await this.end("SIGKILL");
    if (existsSync(this.folder)) {
      rmSync(this.folder, { recursive: true, force: true });
    }
  }
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((done) => probe.listen(0, "127.0.0.1", done));
  const { port } = probe.address() as AddressInfo;
  await new Promise<void>((done) => probe.close(() => done()));
  return port;
}
