// A machine that headscale runs on and Hawser after it, on the same files: both servers, both command lines, the proxy
// in front that stays.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hawser, selfSigned, startTlsFront } from "./control.ts";
import { generousSeconds } from "../test/patience.ts";
import { headscaleConfig, headscalePolicy } from "./headscale-files.ts";
import { until } from "./netns.ts";
import type { CommandResult, Host, RunOptions, RunningProgram } from "./netns.ts";

export interface MachineOptions {
  /** headscale's program. */
  readonly headscale: string;
  /** Lines below `database:`, on the machine they are for. */
  readonly database: string | ((host: Host) => string);
  readonly policyMode: "database" | "file";
}

export class HeadscaleMachine {
  readonly host: Host;
  readonly configFile: string;
  readonly policyFile: string;
  /** The CA that clients trust. */
  caFile = "";
  server: RunningProgram | undefined;
  readonly #headscale: string;
  readonly #configAsWritten: string;

  constructor(host: Host, options: MachineOptions) {
    this.host = host;
    this.#headscale = options.headscale;
    for (const name of ["etc", "lib", "run"]) {
      mkdirSync(join(host.folder, name), { mode: 0o700 });
    }
    this.configFile = join(host.folder, "etc", "config.yaml");
    this.policyFile = join(host.folder, "etc", "policy.hujson");
    this.#configAsWritten = headscaleConfig({
      unixSocket: join(host.folder, "run", "headscale.sock"),
      database: typeof options.database === "string" ? options.database : options.database(host),
      policyMode: options.policyMode,
    });
    writeFileSync(this.configFile, this.#configAsWritten, { mode: 0o600 });
    writeFileSync(this.policyFile, headscalePolicy);
  }

  get databaseFile(): string {
    return join(this.host.folder, "lib", "db.sqlite");
  }

  /** nginx with a certificate of its own, at https://control. */
  async startProxy(address: string): Promise<void> {
    const tls = selfSigned(join(this.host.folder, "tls"), ["control", address]);
    this.caFile = tls.cert;
    await startTlsFront(this.host, tls);
  }

  startHeadscale(): Promise<void> {
    return this.#start(this.#headscale, {});
  }

  startHawser(): Promise<void> {
    return this.#start(hawser, this.#hawserEnv);
  }

  async #start(program: string, env: Readonly<Record<string, string>>): Promise<void> {
    if (readFileSync(this.configFile, "utf8") !== this.#configAsWritten) {
      throw new Error("somebody wrote to config.yaml");
    }
    this.server = this.host.start(program, ["--config", this.configFile, "serve"], env);
    const server = this.server;
    await until(`${program} is healthy`, generousSeconds, async () => {
      if (server.child.exitCode !== null) {
        throw new Error(`the server ended: ${server.output}`);
      }
      const health = await this.host.run("curl", ["-fsS", "-m", "2", "http://127.0.0.1:8080/health"], { check: false });
      return health.status === 0 ? true : undefined;
    });
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    await this.server?.stop(signal);
  }

  /** Lines of the server that want to be read, but for the one key of this configuration that has no effect here. */
  complaints(): readonly string[] {
    const lines = (this.server?.output ?? "").split("\n");
    return lines.filter((line) => /warn|error|taken over/i.test(line) && !line.includes("tuning.batch_change_delay"));
  }

  /** headscale's own program, with headscale's own configuration. */
  headscale(args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
    return this.host.run(this.#headscale, ["--config", this.configFile, ...args], options);
  }

  async headscaleJson<Value>(args: readonly string[]): Promise<Value> {
    return JSON.parse((await this.headscale([...args, "--output", "json"])).stdout) as Value;
  }

  hawser(args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
    return this.host.run(hawser, ["--config", this.configFile, ...args], { ...options, env: this.#hawserEnv });
  }

  /** A GET of the REST API as a script elsewhere would make it: through the proxy, with a key. */
  async rest(path: string, apiKey: string): Promise<{ readonly status: number; readonly body: string }> {
    const words = ["-sk", "-m", "10", "-H", `Authorization: Bearer ${apiKey}`, "-w", "\n%{http_code}"];
    const answer = await this.host.run("curl", [...words, `https://127.0.0.1${path}`]);
    const end = answer.stdout.lastIndexOf("\n");
    return { status: Number(answer.stdout.slice(end + 1)), body: answer.stdout.slice(0, end) };
  }

  /** A checkout would keep its data in itself; an installation keeps it where headscale keeps its own. */
  get #hawserEnv(): Record<string, string> {
    return { HAWSER_DATA_DIR: join(this.host.folder, "hawser") };
  }
}
