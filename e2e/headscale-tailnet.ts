// A tailnet that headscale runs, with clients in it, and what of it must be the same after another program took over.
import { formatRange, type IpSet, IpSetBuilder, parsePrefixOrAddr, parseRange } from "../src/ip/index.ts";
import type { ClientPrograms } from "../scripts/clients.ts";
import { Client } from "./client.ts";
import { HeadscaleMachine } from "./headscale-machine.ts";
import type { MachineOptions } from "./headscale-machine.ts";
import { Lab, until } from "./netns.ts";

export interface JoinWish {
  readonly authKey: string;
  readonly up?: readonly string[];
  /** Networks beside the LAN. */
  readonly networks?: Readonly<Record<string, string>>;
}

export class HeadscaleTailnet {
  readonly lab: Lab;
  readonly machine: HeadscaleMachine;
  readonly #programs: ClientPrograms;
  readonly #clients = new Map<string, Client>();

  constructor(name: string, programs: ClientPrograms, options: MachineOptions) {
    this.lab = new Lab(name);
    this.#programs = programs;
    this.machine = new HeadscaleMachine(this.lab.host("control", { lan: "10.10.0.1/24" }), options);
  }

  async join(name: string, wish: JoinWish): Promise<Client> {
    const address = `10.10.0.${this.#clients.size + 2}/24`;
    const host = this.lab.host(name, { lan: address, ...wish.networks });
    host.addHosts("10.10.0.1 control\n");
    const client = new Client(host, { programs: this.#programs, caFile: this.machine.caFile });
    this.#clients.set(name, client);
    await client.start();
    await client.up("https://control", wish.authKey, wish.up);
    return client;
  }

  client(name: string): Client {
    const client = this.#clients.get(name);
    if (client === undefined) {
      throw new Error(`no client ${name}`);
    }
    return client;
  }

  /** The server's nodes, as headscale's program lists them. */
  nodes(): Promise<readonly NodeJson[]> {
    return this.machine.headscaleJson<readonly NodeJson[]>(["nodes", "list"]);
  }

  async nodeId(hostname: string): Promise<string> {
    const node = (await this.nodes()).find(({ name }) => name === hostname);
    if (node === undefined) {
      throw new Error(`no node ${hostname}`);
    }
    return String(node.id);
  }

  /** Waits until the server has all of them online again; answers with the seconds it took. */
  async backOnline(names: readonly string[], seconds: number): Promise<number> {
    const start = Date.now();
    await until(`${names.join(", ")} are online`, seconds, async () => {
      const nodes = await this.nodes();
      return names.every((name) => nodes.some((node) => node.name === name && node.online === true)) ? true : undefined;
    });
    return (Date.now() - start) / 1000;
  }

  /** What the client was told. */
  async told(name: string): Promise<Told> {
    const map = JSON.parse((await this.client(name).run(["debug", "netmap"])).stdout) as Netmap;
    const routes = (await this.nodes()).find(({ id }) => id === map.SelfNode.ID)?.approved_routes ?? [];
    return pictureOf(map, setOf([...map.SelfNode.Addresses, ...routes]));
  }
}

export interface NodeJson {
  readonly id: number;
  /** As the machine calls itself. */
  readonly name: string;
  readonly given_name: string;
  readonly approved_routes?: readonly string[];
  readonly online?: boolean;
}

/** What a client's map says, apart from presence and the details that each program words in its own way. */
export interface Told {
  readonly self: ToldNode;
  readonly peers: readonly ToldNode[];
  readonly domain: string;
  readonly dns: unknown;
  readonly users: unknown;
  readonly ssh: unknown;
  /** Who may reach what, as `protocols | ports | from | to`, whatever rules it is written in. */
  readonly filter: readonly string[];
  /** Relays, by where they are reached. */
  readonly relays: readonly string[];
}

interface ToldNode {
  readonly id: number;
  readonly stableId: string;
  readonly name: string;
  readonly key: string;
  readonly addresses: readonly string[];
  readonly user: number;
  readonly tags: readonly string[];
  /** To the second. */
  readonly expiry: string;
  /** What peers send to it; its own view of that differs. */
  readonly routes: readonly string[];
  readonly primary: readonly string[];
}

interface NetmapNode {
  readonly ID: number;
  readonly StableID: string;
  readonly Name: string;
  readonly Key: string;
  readonly Addresses: readonly string[];
  readonly AllowedIPs?: readonly string[];
  readonly PrimaryRoutes?: readonly string[];
  readonly User: number;
  readonly Tags?: readonly string[];
  readonly KeyExpiry?: string;
}

interface Netmap {
  readonly SelfNode: NetmapNode;
  readonly Peers?: readonly NetmapNode[] | null;
  readonly Domain: string;
  readonly DNS: unknown;
  readonly UserProfiles: unknown;
  readonly SSHPolicy: { readonly rules?: readonly unknown[] | null } | null;
  readonly PacketFilterRules?:
    | readonly {
        readonly SrcIPs: readonly string[];
        readonly DstPorts?: readonly {
          readonly IP: string;
          readonly Ports: { readonly First: number; readonly Last: number };
        }[];
        readonly IPProto?: readonly number[];
      }[]
    | null;
  readonly DERPMap: {
    readonly Regions: Readonly<
      Record<string, { readonly Nodes: readonly { readonly HostName: string; readonly DERPPort?: number }[] }>
    >;
  };
}

/** `own`: what the node answers for, addresses and routes. */
function pictureOf(map: Netmap, own: IpSet): Told {
  return {
    self: { ...nodePicture(map.SelfNode), routes: [], primary: [] },
    peers: (map.Peers ?? []).map(nodePicture).sort((a, b) => a.id - b.id),
    domain: map.Domain,
    dns: map.DNS,
    users: map.UserProfiles,
    ssh: map.SSHPolicy?.rules ?? [],
    filter: filterOf(map.PacketFilterRules ?? [], own),
    relays: Object.entries(map.DERPMap.Regions).flatMap(([region, { Nodes }]) =>
      Nodes.map(({ HostName, DERPPort }) => `${region}: ${HostName}:${DERPPort ?? 443}`),
    ),
  };
}

function nodePicture(node: NetmapNode): ToldNode {
  return {
    id: node.ID,
    stableId: node.StableID,
    name: node.Name,
    key: node.Key,
    addresses: node.Addresses,
    user: node.User,
    tags: node.Tags ?? [],
    expiry: (node.KeyExpiry ?? "").slice(0, 19),
    routes: [...(node.AllowedIPs ?? [])].sort(),
    primary: [...(node.PrimaryRoutes ?? [])].sort(),
  };
}

/** Who may reach what of the node's own on a port, as sets of addresses: the same access reads the same. */
function filterOf(rules: NonNullable<Netmap["PacketFilterRules"]>, own: IpSet): readonly string[] {
  const reach = new Map<string, string[]>();
  for (const { SrcIPs, DstPorts = [], IPProto = [] } of rules) {
    for (const { IP, Ports } of DstPorts) {
      const what = `${IPProto.join(",")} | ${Ports.First}-${Ports.Last} | ${setText(setOf(SrcIPs))}`;
      reach.set(what, [...(reach.get(what) ?? []), IP]);
    }
  }
  return [...reach].map(([what, to]) => `${what} | ${setText(setOf(to).intersect(own))}`).sort();
}

function setOf(texts: readonly string[]): IpSet {
  const set = new IpSetBuilder();
  for (const text of texts) {
    const prefix = parsePrefixOrAddr(text);
    const range = prefix === undefined ? parseRange(text) : undefined;
    if (prefix !== undefined) {
      set.addPrefix(prefix);
    } else if (range !== undefined) {
      set.addRange(range);
    } else {
      throw new Error(`neither prefix nor range: ${text}`);
    }
  }
  return set.build();
}

function setText(set: IpSet): string {
  return set.ranges().map(formatRange).join(" ");
}
