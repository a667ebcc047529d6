// What most tests start from: a server over plain HTTP with its relay on a second port (self-signed and pinned), and
// clients that join it. Only the three-node test has TLS in front.
import { clientPrograms, newestClient } from "../scripts/clients.ts";
import type { ClientPrograms } from "../scripts/clients.ts";
import { ensureSystemPackages } from "../scripts/system-packages.ts";
import { Client } from "./client.ts";
import { Control } from "./control.ts";
import { Lab, whyNoNamespaces } from "./netns.ts";
import type { Host } from "./netns.ts";

const missing = whyNoNamespaces() ?? whyNoPrograms();

function whyNoPrograms(): string | undefined {
  const missing = ensureSystemPackages();
  return missing.length === 0 ? undefined : `needs ${missing.join(", ")}`;
}

/** The programs of a client version, or why end-to-end tests cannot run here. */
export function programsOrReason(version: string = newestClient): ClientPrograms | string {
  return missing ?? clientPrograms(version);
}

/** A server at 10.10.0.1 and hosts that follow it at 10.10.0.2, .3 … on one LAN. */
export class PlainTailnet {
  readonly lab: Lab;
  readonly control: Control;
  readonly serverUrl = "http://10.10.0.1:8080";
  readonly clients = new Map<string, Client>();
  user = 0;
  #next = 2;

  constructor(name: string, extra = "") {
    this.lab = new Lab(name);
    this.control = new Control(this.lab.host("control", { lan: "10.10.0.1/24" }), { serverUrl: this.serverUrl, extra });
  }

  async start(): Promise<void> {
    await this.control.start();
    this.user = await this.control.createUser("infra");
  }

  /** A host on the LAN (and further networks). */
  host(name: string, networks: Readonly<Record<string, string>> = {}): Host {
    const address = `10.10.0.${this.#next++}/24`;
    return this.lab.host(name, { lan: address, ...networks });
  }

  /** A client on the host, its daemon started. */
  async client(host: Host, programs: ClientPrograms, env: Readonly<Record<string, string>> = {}): Promise<Client> {
    const client = new Client(host, { programs, env });
    this.clients.set(host.name, client);
    await client.start();
    return client;
  }

  /** A new host with a client that has joined with a key of its own. */
  async join(name: string, programs: ClientPrograms, options: JoinOptions = {}): Promise<Client> {
    const client = await this.client(options.host ?? this.host(name), programs);
    const key = await this.control.createKey(options.user ?? this.user, options.key);
    await client.up(this.serverUrl, key, options.up);
    return client;
  }

  /** The server's record of a node, as the command line prints it. */
  async node(name: string): Promise<NodeJson> {
    const nodes = (await this.control.cliJson<readonly NodeJson[] | null>(["nodes", "list"])) ?? [];
    const node = nodes.find((candidate) => candidate.given_name === name);
    if (node === undefined) {
      throw new Error(`no node ${name} among ${nodes.map((candidate) => candidate.given_name).join(", ")}`);
    }
    return node;
  }

  async close(): Promise<void> {
    if (process.env["HAWSER_E2E_VERBOSE"] !== undefined) {
      console.error(this.control.server?.output);
    }
    await this.lab.close();
  }
}

export interface JoinOptions {
  readonly host?: Host;
  /** Whose key it joins with; "infra" by default. */
  readonly user?: number;
  readonly key?: readonly string[];
  readonly up?: readonly string[];
}

export interface NodeJson {
  readonly id: number;
  readonly given_name: string;
  readonly name: string;
  readonly ip_addresses: readonly string[];
  readonly online?: boolean;
  readonly tags?: readonly string[];
  readonly expiry?: { readonly seconds: number };
  readonly approved_routes?: readonly string[];
  readonly available_routes?: readonly string[];
  readonly subnet_routes?: readonly string[];
}
