// A small tailnet in memory, with a policy whose classes tests can rearrange at will: what netmap asks of a tailnet and of its
// PolicyEngine, held to the same contracts as the real ones.
import { formatAddr, isExitRoute, parseAddr, parsePrefix, type Prefix } from "../ip/index.ts";
import type { PolicyEffect, PolicyEngine, PolicyView, RouteShare } from "../policy/engine.ts";
import { nextViewId } from "../policy/view-ids.ts";
import type { ChangeListener } from "../tailnet/contract.ts";
import type { Change, Node, NodeField, User } from "../tailnet/model.ts";
import type { DiscoKey, MachineKey, NodeId, NodeKey, UserId } from "../wire/ids.ts";
import type { CapMap, FilterRule, SSHRule } from "../wire/tailcfg.ts";
import type { NetmapSettings, NetmapTailnet } from "./settings.ts";

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) {
    throw new Error(`not a prefix: ${text}`);
  }
  return parsed;
}

/** 64 hex digits that look as random as a key does: compressors must not profit from a made-up one. */
export function hexOf(seed: number): string {
  let state = (seed * 2654435761 + 12345) >>> 0;
  let hex = "";
  while (hex.length < 64) {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    hex += state.toString(16).padStart(8, "0");
  }
  return hex;
}

export const testSettings: NetmapSettings = {
  domain: "example.com",
  baseDomain: "tail.example.com",
  dns: {
    magicDns: true,
    nameservers: ["1.1.1.1"],
    split: { "corp.example.com": ["10.0.0.53"] },
    search: ["corp.example.com"],
    overrideLocal: true,
    extraRecords: [],
  },
  derpMap: {
    Regions: {
      "900": {
        RegionID: 900,
        RegionCode: "own",
        RegionName: "Own",
        Nodes: [{ Name: "900a", RegionID: 900, HostName: "derp.example.com" }],
      },
      "901": {
        RegionID: 901,
        RegionCode: "far",
        RegionName: "Far",
        NoMeasureNoHome: true,
        Nodes: [{ Name: "901a", RegionID: 901, HostName: "far.example.com" }],
      },
    },
  },
  taildrop: true,
  logtail: false,
  autoUpdate: false,
  prefixes: [prefix("100.64.0.0/10"), prefix("fd7a:115c:a1e0::/48")],
};

export const startOfTime = Date.UTC(2026, 10, 20, 12);

/** A node as it is right after its first contact: keys, addresses, a home, endpoints. */
export function sampleNode(id: number, fields: Partial<Node> = {}): Node {
  return {
    id: id as NodeId,
    stableId: `n${id}`,
    machineKey: `mkey:${hexOf(id * 3)}` as MachineKey,
    nodeKey: `nodekey:${hexOf(id * 3 + 1)}` as NodeKey,
    nodeLockKey: null,
    userId: (1 + (id % 3)) as UserId,
    tags: [],
    givenName: `host-${id}`,
    nameFixed: false,
    ipv4: parseAddr(`100.64.${(id >> 8) & 255}.${id & 255}`) ?? null,
    ipv6: parseAddr(`fd7a:115c:a1e0::${id.toString(16)}`) ?? null,
    registerMethod: "authkey",
    authKeyId: null,
    ephemeral: false,
    createdAt: startOfTime - id * 61_000,
    expiry: null,
    approvedRoutes: [],
    hostinfo: {
      OS: "linux",
      Hostname: `host-${id}`,
      Services: [
        { Proto: "peerapi4", Port: 30_000 + ((id * 7919) % 30_000) },
        { Proto: "peerapi6", Port: 30_000 + ((id * 7907) % 30_000) },
      ],
    },
    discoKey: `discokey:${hexOf(id * 3 + 2)}` as DiscoKey,
    endpoints: [`198.51.100.${id % 250}:${41_000 + (id % 999)}`, `192.168.1.${id % 250}:41641`],
    homeDerp: 900,
    capVersion: 142,
    lastSeen: null,
    online: false,
    advertised: [],
    routes: [],
    primaryRoutes: [],
    ...fields,
  };
}

function sampleUser(id: number): User {
  return {
    id: id as UserId,
    name: `user-${id}`,
    displayName: `User ${id}`,
    email: `user-${id}@example.com`,
    providerId: "",
    provider: "",
    profilePicUrl: "",
    role: "member",
    groups: [],
    createdAt: startOfTime,
  };
}

type ShareKind = "all" | "exit-only" | "no-ipv4";

/** Which classes see each other, and how; a node's class is its first tag, else its owner. */
export interface Rules {
  readonly sees: (viewer: string, peer: string) => boolean;
  readonly share: (viewer: string, peer: string) => ShareKind;
  /** Part of every filter and ssh rule, so that a test can change them. */
  readonly mark: string;
  readonly caps: (node: NodeId) => CapMap;
  /** Online exit nodes are suggested. */
  readonly suggest: boolean;
}

export const openRules: Rules = {
  sees: () => true,
  share: () => "all",
  mark: "*",
  caps: () => ({}),
  suggest: false,
};

export function classOf(node: Node): string {
  return node.tags[0] ?? `user:${node.userId ?? 0}`;
}

export class TestTailnet implements NetmapTailnet {
  version = 0;
  readonly #nodes = new Map<NodeId, Node>();
  readonly #users = new Map<UserId, User>();
  readonly #listeners = new Set<ChangeListener>();
  readonly #views = new Map<string, PolicyView>();
  readonly #shares = new Map<string, { readonly text: string; readonly share: RouteShare }>();
  readonly #filters = new Map<string, { readonly text: string; readonly rules: readonly FilterRule[] }>();
  readonly #ssh = new Map<string, readonly SSHRule[]>();
  #rules: Rules = openRules;
  readonly policy: PolicyEngine;

  constructor(users = 3) {
    for (let id = 1; id <= users; id++) {
      this.#users.set(id as UserId, sampleUser(id));
    }
    const unused = () => {
      throw new Error("not part of what netmap asks");
    };
    this.policy = {
      apply: unused,
      viewOf: (id) => this.#viewOf(this.#class(id)),
      filterOf: (id) => this.#filterOf(this.#class(id)),
      sshOf: (id) => this.#sshOf(this.#class(id)),
      selfCaps: (id) => this.#rules.caps(id),
      peerCaps: (id) =>
        this.#rules.suggest && this.#nodes.get(id)?.routes.some(isExitRoute) === true
          ? { "suggest-exit-node": null }
          : undefined,
      autoApproved: unused,
      mayTag: unused,
      tagExists: unused,
      ipPools: unused,
      sshCheckPeriod: unused,
    };
  }

  #class(id: NodeId): string {
    const node = this.#nodes.get(id);
    return node === undefined ? "nobody" : classOf(node);
  }

  #viewOf(name: string): PolicyView {
    let view = this.#views.get(name);
    if (view === undefined) {
      const sees = (id: NodeId) => this.#nodes.has(id) && this.#rules.sees(name, this.#class(id));
      view = {
        id: nextViewId(),
        peers: () => [...this.#nodes.keys()].filter(sees).sort((a, b) => a - b),
        sees,
        routesOf: (id) => this.#shareOf(name, id),
      };
      this.#views.set(name, view);
    }
    return view;
  }

  #shareOf(viewer: string, id: NodeId): RouteShare {
    const kind = this.#rules.share(viewer, this.#class(id));
    const routes = this.#nodes.get(id)?.routes ?? [];
    const key = `${id} ${kind}`;
    const text = JSON.stringify(routes);
    const held = this.#shares.get(key);
    if (held?.text === text) {
      return held.share;
    }
    const share: RouteShare = {
      id: ["all", "exit-only", "no-ipv4"].indexOf(kind),
      ifPrimary: kind === "exit-only" ? [] : routes.filter((route) => !isExitRoute(route)),
      always: routes.filter(isExitRoute),
      withoutIPv4: kind === "no-ipv4",
    };
    this.#shares.set(key, { text, share });
    return share;
  }

  #filterOf(name: string): readonly FilterRule[] {
    const sources = [...this.#nodes.values()]
      .filter((node) => this.#rules.mark !== "*" && this.#rules.sees(name, classOf(node)))
      .flatMap((node) => (node.ipv4 === null ? [] : [formatAddr(node.ipv4)]));
    const rules = [
      { SrcIPs: [this.#rules.mark, ...sources], DstPorts: [{ IP: "*", Ports: { First: 0, Last: 65535 } }] },
    ];
    const text = JSON.stringify(rules);
    const held = this.#filters.get(name);
    if (held?.text === text) {
      return held.rules;
    }
    this.#filters.set(name, { text, rules });
    return rules;
  }

  #sshOf(name: string): readonly SSHRule[] {
    const key = `${name} ${this.#rules.mark}`;
    let rules = this.#ssh.get(key);
    if (rules === undefined) {
      rules = name.startsWith("tag:")
        ? [{ principals: [{ any: true }], sshUsers: { root: this.#rules.mark }, action: { accept: true } }]
        : [];
      this.#ssh.set(key, rules);
    }
    return rules;
  }

  // What a test does to it.

  add(node: Node): Node {
    this.#nodes.set(node.id, node);
    this.#emit([{ kind: "node-added", id: node.id }], this.#everyFilter([node.id], [node.id]));
    return node;
  }

  remove(id: NodeId): void {
    const last = this.#nodes.get(id);
    if (last !== undefined) {
      this.#nodes.delete(id);
      this.#emit([{ kind: "node-removed", id, last }], this.#everyFilter([], [id]));
    }
  }

  change(id: NodeId, patch: Partial<Node>): void {
    const before = this.#nodes.get(id);
    if (before === undefined) {
      return;
    }
    this.#nodes.set(id, { ...before, ...patch });
    const fields = fieldsOf(patch);
    const matters = ["tags", "owner", "routes", "addresses"].some((field) => fields.has(field as NodeField));
    this.#emit(
      [{ kind: "node-changed", id, before, fields }],
      matters ? this.#everyFilter([id], [id]) : { everything: false, nodes: [], peers: [] },
    );
  }

  changeUser(id: UserId, patch: Partial<User>): void {
    const user = this.#users.get(id);
    if (user !== undefined) {
      this.#users.set(id, { ...user, ...patch });
      this.#emit([{ kind: "user-changed", id }], { everything: false, nodes: [], peers: [] });
    }
  }

  /** `newViews`: the classes' views get other ids, as when an engine is built anew. */
  setRules(rules: Rules, newViews = false): void {
    this.#rules = rules;
    if (newViews) {
      this.#views.clear();
    }
    this.#emit([{ kind: "policy-replaced" }], { everything: true, nodes: [], peers: [] });
  }

  get rules(): Rules {
    return this.#rules;
  }

  /** Filters that name their sources change for many nodes when one node comes or goes. */
  #everyFilter(nodes: readonly NodeId[], peers: readonly NodeId[]): PolicyEffect {
    return { everything: false, nodes: this.#rules.mark === "*" ? nodes : [...this.#nodes.keys()], peers };
  }

  #emit(changes: readonly Change[], effect: PolicyEffect): void {
    this.version++;
    for (const listener of this.#listeners) {
      listener({ version: this.version, changes, effect });
    }
  }

  // TailnetReader.

  node(id: NodeId): Node | undefined {
    return this.#nodes.get(id);
  }
  nodes(): readonly Node[] {
    return [...this.#nodes.values()].sort((a, b) => a.id - b.id);
  }
  user(id: UserId): User | undefined {
    return this.#users.get(id);
  }
  subscribe(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

const fieldNames: Readonly<Partial<Record<keyof Node, NodeField>>> = {
  nodeKey: "key",
  discoKey: "disco",
  endpoints: "endpoints",
  homeDerp: "derp",
  online: "online",
  lastSeen: "online",
  expiry: "expiry",
  givenName: "name",
  ipv4: "addresses",
  ipv6: "addresses",
  userId: "owner",
  tags: "tags",
  routes: "routes",
  primaryRoutes: "primary",
  hostinfo: "hostinfo",
  capVersion: "capver",
};

function fieldsOf(patch: Partial<Node>): ReadonlySet<NodeField> {
  const fields = new Set<NodeField>();
  for (const name of Object.keys(patch)) {
    const field = fieldNames[name as keyof Node];
    if (field !== undefined) {
      fields.add(field);
    }
  }
  return fields;
}
