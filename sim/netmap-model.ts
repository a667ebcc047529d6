// What a client knows of its tailnet, after the messages of one stream: the processing order, stickiness and the
// quirks of official clients (protocol §4.4–4.5). Peers are values that are replaced, never changed, and one patch
// of one peer is worked out once for all clients of the process, so that a thousand clients hold a thousand tables of
// references and not a million peers.
import type {
  DERPMap,
  DNSConfig,
  FilterRule,
  Json,
  MapNode,
  MapResponse,
  PeerChange,
  SSHPolicy,
  UserProfile,
} from "../src/wire/tailcfg.ts";

/** Messages this model knows beyond those the server's types name. */
type Received = MapResponse & {
  readonly TKAInfo?: Json;
  readonly DomainDataPlaneAuditLogID?: string;
  readonly ControlDialPlan?: Json;
  readonly DefaultAutoUpdate?: boolean | null;
};

/** A node as received may carry the home region as old text, and lists as null. */
type ReceivedNode = MapNode & { readonly DERP?: string; readonly Capabilities?: readonly string[] | null };

/** What PeerSeenChange sets: the client's own clock, which no two clients share. */
export const seenNow = "now";

export class NetmapModel {
  self: MapNode | undefined;
  peers = new Map<number, MapNode>();
  derpMap: DERPMap | undefined;
  dns: DNSConfig | undefined;
  domain = "";
  collectServices = false;
  readonly filters = new Map<string, readonly FilterRule[]>();
  readonly users = new Map<number, UserProfile>();
  health: readonly string[] = [];
  readonly displayMessages = new Map<string, Json>();
  sshPolicy: SSHPolicy | undefined;
  tka: Json | undefined;
  auditLogId = "";
  dialPlan: Json | undefined;
  clientVersion: Json | undefined;
  controlTime = "";
  /** Messages other than keep-alives that were applied. */
  applied = 0;

  /** Applies one message that is not a keep-alive. Throws where a client would end the stream. */
  apply(message: MapResponse): void {
    const received: Received = message;
    if (this.applied === 0 && !received.Node) {
      throw new Error("initial MapResponse lacked node");
    }
    this.applied++;
    if (received.ControlTime !== undefined) {
      this.controlTime = received.ControlTime;
    }
    this.#applyPeers(received);
    this.#applySticky(received);
  }

  /** The filter rules in force: all lists, in the order of their names. */
  packetFilter(): readonly FilterRule[] {
    return [...this.filters.keys()].sort().flatMap((name) => this.filters.get(name) ?? []);
  }

  #applyPeers(message: Received): void {
    if (message.Peers && message.Peers.length > 0) {
      this.peers = new Map(message.Peers.map((peer) => [peer.ID, normalise(peer)]));
      return;
    }
    // Patchify comes before everything else (protocol §4.4 step 3, quirk 42).
    const upserts: MapNode[] = [];
    const patches: PeerChange[] = [...(message.PeersChangedPatch ?? [])];
    for (const peer of message.PeersChanged ?? []) {
      const node = normalise(peer);
      const known = this.peers.get(node.ID);
      const change = known === undefined ? undefined : difference(known, node);
      if (change === undefined) {
        upserts.push(node);
      } else if (change !== "equal") {
        patches.push(change);
      }
    }
    for (const id of message.PeersRemoved ?? []) {
      this.peers.delete(id);
    }
    for (const node of upserts) {
      this.peers.set(node.ID, node);
    }
    this.#applyPresence(message);
    for (const change of patches) {
      const peer = this.peers.get(change.NodeID);
      if (peer !== undefined) {
        this.peers.set(peer.ID, patched(peer, change));
      }
    }
  }

  #applyPresence(message: Received): void {
    for (const [id, seen] of Object.entries(message.PeerSeenChange ?? {})) {
      const peer = this.peers.get(Number(id));
      if (peer !== undefined) {
        this.peers.set(peer.ID, withPresence(peer, seen ? "seen" : "unseen"));
      }
    }
    for (const [id, online] of Object.entries(message.OnlineChange ?? {})) {
      const peer = this.peers.get(Number(id));
      if (peer !== undefined) {
        this.peers.set(peer.ID, withPresence(peer, online ? "online" : "offline"));
      }
    }
  }

  #applySticky(message: Received): void {
    this.self = message.Node ? normalise(message.Node) : this.self;
    for (const user of message.UserProfiles ?? []) {
      this.users.set(user.ID, user);
    }
    if (message.DERPMap) {
      this.derpMap = mergeDerpMap(this.derpMap, message.DERPMap);
    }
    this.#applyFilters(message);
    this.dns = message.DNSConfig ?? this.dns;
    this.domain = message.Domain || this.domain;
    this.collectServices = message.CollectServices ?? this.collectServices;
    this.sshPolicy = message.SSHPolicy ?? this.sshPolicy;
    this.tka = message.TKAInfo ?? this.tka;
    this.auditLogId = message.DomainDataPlaneAuditLogID || this.auditLogId;
    this.dialPlan = message.ControlDialPlan ?? this.dialPlan;
    this.clientVersion = (message.ClientVersion as Json | undefined) ?? this.clientVersion;
    this.health = message.Health ?? this.health;
    applyNamed(this.displayMessages, message.DisplayMessages);
  }

  #applyFilters(message: Received): void {
    if (message.PacketFilter) {
      this.filters.set("base", message.PacketFilter);
    }
    applyNamed(this.filters, message.PacketFilters);
  }
}

/** Incremental maps: `"*": null` clears first, a null deletes, anything else sets. */
function applyNamed<Value>(
  target: Map<string, Value>,
  changes: Readonly<Record<string, Value | null>> | undefined,
): void {
  if (changes === undefined || changes === null) {
    return;
  }
  if (changes["*"] === null) {
    target.clear();
  }
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) {
      target.delete(name);
    } else {
      target.set(name, value);
    }
  }
}

function mergeDerpMap(old: DERPMap | undefined, next: DERPMap): DERPMap {
  const regions = next.Regions
    ? Object.fromEntries(Object.entries(next.Regions).filter(([, region]) => region !== null))
    : (old?.Regions ?? {});
  const homeParams = next.HomeParams?.RegionScore ? next.HomeParams : old?.HomeParams;
  return { Regions: regions, ...(homeParams === undefined ? {} : { HomeParams: homeParams }) };
}

const normalised = new WeakMap<MapNode, MapNode>();

/** What clients do to every node they get: home region as a number, AllowedIPs from Addresses, nulls out. */
export function normalise(node: MapNode): MapNode {
  const known = normalised.get(node);
  if (known !== undefined) {
    return known;
  }
  const { DERP, Capabilities, ...rest }: ReceivedNode = node;
  const legacyHome = DERP === undefined ? undefined : /^127\.3\.3\.40:(\d+)$/.exec(DERP)?.[1];
  const capMap =
    Capabilities && Capabilities.length > 0
      ? { ...Object.fromEntries(Capabilities.map((name) => [name, null])), ...rest.CapMap }
      : rest.CapMap;
  const result: MapNode = {
    ...rest,
    AllowedIPs: rest.AllowedIPs ?? rest.Addresses,
    ...(rest.HomeDERP === undefined && legacyHome !== undefined ? { HomeDERP: Number(legacyHome) } : {}),
    ...(capMap ? { CapMap: capMap } : {}),
  };
  normalised.set(node, result);
  return result;
}

const patchable = new Set<string>([
  "Key",
  "KeyExpiry",
  "KeySignature",
  "DiscoKey",
  "Endpoints",
  "HomeDERP",
  "Cap",
  "CapMap",
  "Online",
  "LastSeen",
]);

type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

const differences = new WeakMap<MapNode, WeakMap<MapNode, { readonly result: PeerChange | "equal" | undefined }>>();

/** Undefined when the new node can only replace the old one; otherwise the patch that clients make of it. */
function difference(was: MapNode, now: MapNode): PeerChange | "equal" | undefined {
  const known = differences.get(was)?.get(now);
  if (known !== undefined) {
    return known.result;
  }
  const result = computeDifference(was, now);
  let ofWas = differences.get(was);
  if (ofWas === undefined) {
    ofWas = new WeakMap();
    differences.set(was, ofWas);
  }
  ofWas.set(now, { result });
  return result;
}

function computeDifference(was: MapNode, now: MapNode): PeerChange | "equal" | undefined {
  if (was === now) {
    return "equal";
  }
  const wasFields = was as unknown as Readonly<Record<string, Json | undefined>>;
  const nowFields = now as unknown as Readonly<Record<string, Json | undefined>>;
  for (const name of new Set([...Object.keys(was), ...Object.keys(now)])) {
    if (!patchable.has(name) && !sameValue(wasFields[name], nowFields[name])) {
      return undefined;
    }
  }
  const change: Writable<PeerChange> = { NodeID: now.ID };
  // Where the new value is none, a patch cannot say so and the old one stays (protocol §4.5 "losses").
  if (now.Key !== was.Key) {
    change.Key = now.Key;
  }
  if (now.KeyExpiry !== was.KeyExpiry) {
    change.KeyExpiry = now.KeyExpiry ?? "0001-01-01T00:00:00Z";
  }
  if (now.KeySignature && now.KeySignature !== was.KeySignature) {
    change.KeySignature = now.KeySignature;
  }
  if (now.DiscoKey && now.DiscoKey !== was.DiscoKey) {
    change.DiscoKey = now.DiscoKey;
  }
  if (now.Endpoints && !sameValue(now.Endpoints, was.Endpoints)) {
    change.Endpoints = now.Endpoints;
  }
  if (now.HomeDERP && now.HomeDERP !== was.HomeDERP) {
    change.DERPRegion = now.HomeDERP;
  }
  if (now.Cap && now.Cap !== was.Cap) {
    change.Cap = now.Cap;
  }
  if (!sameValue(now.CapMap, was.CapMap)) {
    change.CapMap = now.CapMap ?? {};
  }
  if (typeof now.Online === "boolean" && typeof was.Online === "boolean" && now.Online !== was.Online) {
    change.Online = now.Online;
  }
  if (now.LastSeen && was.LastSeen && now.LastSeen !== was.LastSeen) {
    change.LastSeen = now.LastSeen;
  }
  return Object.keys(change).length === 1 ? "equal" : change;
}

/** Equality as clients compare: lists in order; absent, null and empty alike. */
export function sameValue(a: unknown, b: unknown): boolean {
  return a === b || canonical(a) === canonical(b);
}

function canonical(value: unknown): string {
  return JSON.stringify(value ?? null, (_key, part: unknown) => {
    if (typeof part === "object" && part !== null && !Array.isArray(part)) {
      const entries = Object.entries(part).filter(([, item]) => !isEmpty(item));
      return entries.length === 0 ? null : Object.fromEntries(entries.sort(([x], [y]) => (x < y ? -1 : 1)));
    }
    return isEmpty(part) ? null : part;
  });
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || (Array.isArray(value) && value.length === 0);
}

const patches = new WeakMap<MapNode, WeakMap<PeerChange, MapNode>>();

/** The peer with a patch applied as given: what the patch holds replaces. */
function patched(peer: MapNode, change: PeerChange): MapNode {
  const known = patches.get(peer)?.get(change);
  if (known !== undefined) {
    return known;
  }
  const next: Writable<MapNode> = { ...peer };
  if (change.DERPRegion) {
    next.HomeDERP = change.DERPRegion;
  }
  if (change.Cap) {
    next.Cap = change.Cap;
  }
  for (const name of ["CapMap", "Endpoints", "Key", "KeySignature", "DiscoKey", "LastSeen", "KeyExpiry"] as const) {
    const value = change[name];
    if (value !== undefined && value !== null) {
      Object.assign(next, { [name]: value });
    }
  }
  if (typeof change.Online === "boolean") {
    next.Online = change.Online;
  }
  let ofPeer = patches.get(peer);
  if (ofPeer === undefined) {
    ofPeer = new WeakMap();
    patches.set(peer, ofPeer);
  }
  ofPeer.set(change, next);
  return next;
}

type Presence = "online" | "offline" | "seen" | "unseen";
const presences = new WeakMap<MapNode, Map<Presence, MapNode>>();

function withPresence(peer: MapNode, presence: Presence): MapNode {
  const known = presences.get(peer)?.get(presence);
  if (known !== undefined) {
    return known;
  }
  const { LastSeen: lastSeen, ...others } = peer;
  const next: MapNode =
    presence === "seen"
      ? { ...peer, LastSeen: seenNow }
      : presence === "unseen"
        ? others
        : { ...others, ...(lastSeen === undefined ? {} : { LastSeen: lastSeen }), Online: presence === "online" };
  const ofPeer = presences.get(peer) ?? new Map<Presence, MapNode>();
  ofPeer.set(presence, next);
  presences.set(peer, ofPeer);
  return next;
}

/**
 * Whether a client of version ≥ 1.100 rebuilds its whole netmap for this message (protocol §4.5), the cost a server
 * should spare its nodes.
 */
export function isFullRebuild(message: MapResponse): boolean {
  const expensive = [
    "Node",
    "Peers",
    "DERPMap",
    "DNSConfig",
    "Domain",
    "CollectServices",
    "Health",
    "DisplayMessages",
    "SSHPolicy",
    "TKAInfo",
    "DomainDataPlaneAuditLogID",
    "Debug",
    "ControlDialPlan",
    "ClientVersion",
    "DefaultAutoUpdate",
  ];
  const costlyPatch = ["Key", "DiscoKey", "KeyExpiry", "KeySignature", "Cap", "CapMap"];
  return (
    expensive.some((name) => name in message) ||
    (message.PeersChangedPatch ?? []).some((change) => costlyPatch.some((name) => name in change))
  );
}
