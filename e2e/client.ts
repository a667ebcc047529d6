// A real Tailscale client on a host: its daemon and its command.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { ClientPrograms } from "../scripts/clients.ts";
import { generousSeconds } from "../test/patience.ts";
import { until } from "./netns.ts";
import type { CommandResult, Host, RunOptions, RunningProgram } from "./netns.ts";

/** The parts of `tailscale status --json` that tests look at. */
export interface Status {
  readonly BackendState: string;
  readonly AuthURL: string;
  readonly Self: PeerStatus;
  readonly Peer?: Readonly<Record<string, PeerStatus>>;
}
export interface PeerStatus {
  readonly ID: string;
  readonly HostName: string;
  readonly DNSName: string;
  readonly TailscaleIPs?: readonly string[];
  readonly AllowedIPs?: readonly string[];
  readonly PrimaryRoutes?: readonly string[];
  readonly Tags?: readonly string[];
  readonly CurAddr: string;
  readonly Relay: string;
  readonly Online: boolean;
  readonly ExitNode: boolean;
  readonly ExitNodeOption: boolean;
}

export interface ClientOptions {
  readonly programs: ClientPrograms;
  /** PEM file of the only CA the client trusts. */
  readonly caFile?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export class Client {
  readonly host: Host;
  readonly #options: ClientOptions;
  #daemon: RunningProgram | undefined;

  constructor(host: Host, options: ClientOptions) {
    this.host = host;
    this.#options = options;
  }

  get daemon(): RunningProgram {
    if (this.#daemon === undefined) {
      throw new Error(`${this.host.name}: tailscaled has not been started`);
    }
    return this.#daemon;
  }

  get #socket(): string {
    return join(this.host.folder, "ts.sock");
  }

  get #env(): Record<string, string> {
    return {
      TS_NO_LOGS_NO_SUPPORT: "true",
      TS_DEBUG_FIREWALL_MODE: "iptables",
      ...(this.#options.caFile === undefined ? {} : { SSL_CERT_FILE: this.#options.caFile }),
      ...this.#options.env,
    };
  }

  /** Starts the daemon; with a state folder that may hold an earlier login. */
  async start(): Promise<void> {
    const state = join(this.host.folder, "state");
    mkdirSync(state, { recursive: true });
    this.#daemon = this.host.start(
      this.#options.programs.tailscaled,
      [`--statedir=${state}`, `--socket=${this.#socket}`, "--port=41641", "--tun=tailscale0"],
      this.#env,
    );
    await until(`${this.host.name}: tailscaled answers`, generousSeconds, async () => {
      const answer = await this.run(["status", "--json"], { check: false });
      return answer.stdout.includes("BackendState") ? true : undefined;
    });
  }

  /** `tailscale …` on this host. */
  run(args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
    return this.host.run(this.#options.programs.tailscale, [`--socket=${this.#socket}`, ...args], {
      ...options,
      env: { ...this.#env, ...options.env },
    });
  }

  async up(loginServer: string, authKey: string, extra: readonly string[] = []): Promise<void> {
    await this.run([
      "up",
      `--login-server=${loginServer}`,
      `--auth-key=${authKey}`,
      `--hostname=${this.host.name}`,
      `--timeout=${generousSeconds - 10}s`,
      ...extra,
    ]);
  }

  async status(): Promise<Status> {
    const answer = await this.run(["status", "--json"], { check: false });
    return JSON.parse(answer.stdout) as Status;
  }

  async peers(): Promise<readonly PeerStatus[]> {
    return Object.values((await this.status()).Peer ?? {});
  }

  /** The first IPv4 (or IPv6) address of this node. */
  async address(family: 4 | 6 = 4): Promise<string> {
    return until(`${this.host.name} has an IPv${family} address`, generousSeconds, async () => {
      const status = await this.status();
      return status.Self.TailscaleIPs?.find((ip) => ip.includes(":") === (family === 6));
    });
  }

  /** `tailscale ping`: the lines it printed; throws when no pong came. */
  async ping(target: string, extra: readonly string[] = []): Promise<string> {
    const answer = await this.run(["ping", "--timeout=5s", ...extra, target], { timeoutMs: 90_000, check: false });
    if (!answer.stdout.includes("pong from")) {
      throw new Error(`${this.host.name}: no pong from ${target}: ${answer.stdout}${answer.stderr}`);
    }
    return answer.stdout;
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    await this.#daemon?.stop(signal);
  }
}
