// Hosts on one machine: network namespaces joined by bridges in a namespace of their own, all named with a prefix that
// is unique to the test, so that tests run side by side and clean up by name.
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generousSeconds, startStopwatch } from "../test/patience.ts";

/** Why namespaces cannot be used here, or undefined when they can. */
export function whyNoNamespaces(): string | undefined {
  if (process.platform !== "linux") {
    return "needs Linux";
  }
  if (process.getuid?.() !== 0) {
    return "needs root for network namespaces";
  }
  const probe = `hwprobe${process.pid}`;
  // A run that was killed may have left it, and its process's number been given again.
  spawnSync("ip", ["netns", "del", probe], { stdio: "ignore" });
  if (spawnSync("ip", ["netns", "add", probe], { stdio: "ignore" }).status !== 0) {
    return "cannot make network namespaces";
  }
  spawnSync("ip", ["netns", "del", probe], { stdio: "ignore" });
  return spawnSync("test", ["-c", "/dev/net/tun"]).status === 0 ? undefined : "needs /dev/net/tun";
}

export interface CommandResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end; a failure with `check` throws with what it printed. */
export function run(
  program: string,
  args: readonly string[],
  options: { readonly check?: boolean } = {},
): CommandResult {
  const result = spawnSync(program, args, { encoding: "utf8", timeout: generousSeconds * 1000 });
  const outcome = { status: result.status ?? 1, stdout: result.stdout ?? "", stderr: result.stderr ?? "" };
  if (options.check !== false && outcome.status !== 0) {
    throw new Error(`${program} ${args.join(" ")} ended with ${outcome.status}: ${outcome.stderr}${outcome.stdout}`);
  }
  return outcome;
}

let counter = 0;

/** One topology: hosts and switches, ended together. */
export class Lab {
  readonly prefix: string;
  /** Scratch files of the test (states, logs, configurations). */
  readonly folder: string;
  readonly #hosts = new Map<string, Host>();
  readonly #switches: string;
  readonly #bridges = new Set<string>();
  #links = 0;

  constructor(name: string) {
    if (counter === 0) {
      removeDeadLabs();
    }
    counter += 1;
    this.prefix = `hw${process.pid}x${counter}`;
    this.folder = mkdtempSync(join(tmpdir(), `hawser-e2e-${name}-`));
    this.#switches = `${this.prefix}-sw`;
    run("ip", ["netns", "add", this.#switches]);
  }

  /** A host with an interface for every network given: network name → address with prefix length (and an optional default gateway). */
  host(name: string, networks: Readonly<Record<string, string>>, gateway?: string): Host {
    const host = new Host(this, name, `${this.prefix}-${name}`);
    this.#hosts.set(name, host);
    let index = 0;
    for (const [network, address] of Object.entries(networks)) {
      this.#connect(host, network, `eth${index}`, address.split(","));
      index += 1;
    }
    if (gateway !== undefined) {
      host.ip(["route", "add", "default", "via", gateway]);
    }
    return host;
  }

  #connect(host: Host, network: string, device: string, addresses: readonly string[]): void {
    const bridge = `br-${network}`;
    if (!this.#bridges.has(bridge)) {
      this.#bridges.add(bridge);
      run("ip", ["-n", this.#switches, "link", "add", bridge, "type", "bridge"]);
      run("ip", ["-n", this.#switches, "link", "set", bridge, "up"]);
    }
    this.#links += 1;
    const port = `p${this.#links}`;
    run("ip", [
      "-n",
      this.#switches,
      "link",
      "add",
      port,
      "type",
      "veth",
      "peer",
      "name",
      device,
      "netns",
      host.namespace,
    ]);
    run("ip", ["-n", this.#switches, "link", "set", port, "master", bridge, "up"]);
    for (const address of addresses) {
      host.ip(
        address.includes(":")
          ? ["addr", "add", address, "dev", device, "nodad"]
          : ["addr", "add", address, "dev", device],
      );
    }
    host.ip(["link", "set", device, "up"]);
  }

  /** Ends every process and namespace of the lab. */
  async close(): Promise<void> {
    await Promise.all([...this.#hosts.values()].map((host) => host.close()));
    for (const name of [...[...this.#hosts.values()].map((host) => host.namespace), this.#switches]) {
      removeNamespace(name);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function removeNamespace(name: string): void {
  for (const pid of run("ip", ["netns", "pids", name], { check: false }).stdout.split(/\s+/).filter(Boolean)) {
    killQuietly(Number(pid));
  }
  run("ip", ["netns", "del", name], { check: false });
  rmSync(`/etc/netns/${name}`, { recursive: true, force: true });
}

/** What labs have left behind whose process was killed before it could clean up; they are known by its pid in the name. */
function removeDeadLabs(): void {
  for (const line of run("ip", ["netns", "list"], { check: false }).stdout.split("\n")) {
    const [, name, pid] = /^(hw(\d+)x\d+-\S+)/.exec(line) ?? [];
    // This process has none yet: one of its number was another's.
    if (name !== undefined && (Number(pid) === process.pid || !existsSync(`/proc/${pid}`))) {
      removeNamespace(name);
    }
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Already gone.
  }
}

/** One namespace. */
export class Host {
  readonly lab: Lab;
  readonly name: string;
  readonly namespace: string;
  readonly folder: string;
  readonly #processes: RunningProgram[] = [];

  constructor(lab: Lab, name: string, namespace: string) {
    this.lab = lab;
    this.name = name;
    this.namespace = namespace;
    this.folder = join(lab.folder, name);
    mkdirSync(this.folder, { recursive: true });
    // Bind-mounted over /etc by `ip netns exec`; must exist before a process starts (written in place afterwards).
    mkdirSync(`/etc/netns/${namespace}`, { recursive: true });
    writeFileSync(`/etc/netns/${namespace}/resolv.conf`, "");
    writeFileSync(`/etc/netns/${namespace}/hosts`, `127.0.0.1 localhost ${name}\n::1 localhost\n`);
    run("ip", ["netns", "add", namespace]);
    this.ip(["link", "set", "lo", "up"]);
  }

  /** `ip` inside the namespace, without entering it. */
  ip(args: readonly string[]): CommandResult {
    return run("ip", ["-n", this.namespace, ...args]);
  }

  addHosts(lines: string): void {
    writeFileSync(`/etc/netns/${this.namespace}/hosts`, lines, { flag: "a" });
  }

  /** Runs a program to its end in this host. */
  run(program: string, args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
    return new Promise((done, fail) => {
      const child = spawn("ip", ["netns", "exec", this.namespace, program, ...args], {
        env: { ...process.env, ...options.env },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let stdout = "";
      let stderr = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
      child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
      const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs ?? generousSeconds * 1000);
      child.on("error", fail);
      child.on("close", (code) => {
        clearTimeout(timer);
        const outcome = { status: code ?? 137, stdout, stderr };
        if (options.check !== false && outcome.status !== 0) {
          fail(
            new Error(`${this.name}: ${program} ${args.join(" ")} ended with ${outcome.status}: ${stderr}${stdout}`),
          );
        } else {
          done(outcome);
        }
      });
    });
  }

  /** Starts a program that goes on running; ended with the lab at the latest. */
  start(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): RunningProgram {
    const running = new RunningProgram(this, program, args, env);
    this.#processes.push(running);
    return running;
  }

  async close(): Promise<void> {
    await Promise.all(this.#processes.map((running) => running.stop("SIGKILL")));
  }
}

export interface RunOptions {
  readonly check?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** A long-running program of a host, with its output kept. */
export class RunningProgram {
  readonly child: ChildProcess;
  readonly name: string;
  #output = "";
  readonly #exited: Promise<number>;

  constructor(host: Host, program: string, args: readonly string[], env: Readonly<Record<string, string>>) {
    this.name = `${host.name}: ${program}`;
    this.child = spawn("ip", ["netns", "exec", host.namespace, program, ...args], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const keep = (text: string): void => {
      // Enough for a diagnosis, bounded for a long run.
      this.#output = (this.#output + text).slice(-400_000);
    };
    this.child.stdout?.setEncoding("utf8").on("data", keep);
    this.child.stderr?.setEncoding("utf8").on("data", keep);
    this.#exited = new Promise((done) => this.child.on("exit", (code) => done(code ?? 137)));
  }

  get output(): string {
    return this.#output;
  }

  /** The program's own pid (`ip netns exec` replaces itself with it). */
  get pid(): number {
    return this.child.pid ?? 0;
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Ends it and answers with the exit code. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) {
      return this.child.exitCode ?? 137;
    }
    this.child.kill("SIGCONT");
    this.child.kill(signal);
    return this.#exited;
  }
}

/** Asks until the answer is not undefined; throws with `what` after the time given, as far as the machine had it. */
export async function until<Value>(
  what: string,
  seconds: number,
  ask: () => Promise<Value | undefined> | Value | undefined,
): Promise<Value> {
  const watch = startStopwatch();
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) {
      return answer;
    }
    if (watch.seconds() > seconds) {
      throw new Error(`not within ${seconds} s: ${what}`);
    }
    await new Promise((wake) => setTimeout(wake, 200));
  }
}
