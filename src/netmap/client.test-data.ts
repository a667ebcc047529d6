// A client as far as maps go: takes framed messages and keeps a netmap, in the order and with the losses that official
// clients have (protocol §4.4, §4.5). What no client would survive, or what the server promised not to do, throws.
import type { NodeId } from "../wire/ids.ts";
import type {
  DERPMap,
  DNSConfig,
  FilterRule,
  MapNode,
  MapResponse,
  PeerChange,
  SSHRule,
  UserProfile,
} from "../wire/tailcfg.ts";
import { decompress } from "../wire/zstd.ts";
import type { MapMessage } from "./contract.ts";
import type { Compression } from "./message.ts";

const maxMessage = 64 << 20;

export function decodeMessage(message: MapMessage, compression: Compression): MapResponse {
  const bytes = Buffer.concat(message.chunks);
  if (bytes.length !== message.length || bytes.readUInt32LE(0) !== bytes.length - 4) {
    throw new Error("the length before the message is wrong");
  }
  const body = bytes.subarray(4);
  const json = compression === "" ? body : decompress(body, maxMessage);
  if (json === undefined) {
    throw new Error("the message does not decompress");
  }
  return JSON.parse(Buffer.from(json).toString("utf8")) as MapResponse;
}

/** Fields that a patch can say. */
const patchable: ReadonlySet<string> = new Set([
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
const cheapFields: ReadonlySet<string> = new Set(["NodeID", "DERPRegion", "Endpoints", "Online", "LastSeen"]);
const dearMembers = ["Node", "Peers", "PeersChanged", "PeersRemoved", "DERPMap", "DNSConfig", "PacketFilters"] as const;

export class TestClient {
  readonly compression: Compression;
  self: MapNode | undefined;
  readonly peers = new Map<NodeId, MapNode>();
  readonly users = new Map<number, UserProfile>();
  readonly filters = new Map<string, readonly FilterRule[]>();
  ssh: readonly SSHRule[] | null = null;
  dns: DNSConfig | undefined;
  derp: DERPMap | undefined;
  /** Everything received, newest last. */
  readonly log: { readonly message: MapResponse; readonly bytes: number }[] = [];

  constructor(compression: Compression = "zstd") {
    this.compression = compression;
  }

  get bytes(): number {
    return this.log.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  receive(framed: MapMessage): void {
    const message = decodeMessage(framed, this.compression);
    this.log.push({ message, bytes: framed.length });
    if (message.KeepAlive === true) {
      if (Object.keys(message).length === 1) {
        throw new Error("a bare keep-alive arms a bug in clients");
      }
      return;
    }
    if (this.self === undefined && message.Node === undefined) {
      throw new Error("initial map lacks the node");
    }
    this.#check(message);
    this.#takePeers(message);
    this.#takeRest(message);
    this.#checkResult();
  }

  #check(message: MapResponse): void {
    if (message.Peers?.length === 0) {
      throw new Error("an empty Peers clears nothing");
    }
    const removed = new Set(message.PeersRemoved);
    const named = [message.Peers, message.PeersChanged].flatMap((list) => (list ?? []).map(({ ID }) => ID));
    const patched = (message.PeersChangedPatch ?? []).map(({ NodeID }) => NodeID);
    for (const ids of [message.PeersRemoved ?? [], named, patched]) {
      if (new Set(ids).size !== ids.length) {
        throw new Error("an id stands twice in one list");
      }
    }
    if ([...named, ...patched].some((id) => removed.has(id))) {
      throw new Error("an id is removed and changed in one message");
    }
    const cheap =
      message.OnlineChange !== undefined ||
      message.PeerSeenChange !== undefined ||
      (message.PeersChangedPatch ?? []).some((patch) => Object.keys(patch).every((field) => cheapFields.has(field)));
    const dear =
      dearMembers.some((name) => message[name] !== undefined) ||
      (message.PeersChangedPatch ?? []).some((patch) => Object.keys(patch).some((field) => !cheapFields.has(field)));
    if (cheap && dear) {
      throw new Error(`cheap and dear in one message: ${Object.keys(message).join(", ")}`);
    }
    if (message.Node !== undefined && message.Node.MachineAuthorized !== true) {
      throw new Error("the node is not authorized");
    }
  }

  #takePeers(message: MapResponse): void {
    if (message.Peers !== undefined) {
      this.peers.clear();
      for (const peer of message.Peers) {
        this.peers.set(peer.ID, peer);
      }
      return;
    }
    const upserts: MapNode[] = [];
    const patches: PeerChange[] = [];
    for (const peer of message.PeersChanged ?? []) {
      const known = this.peers.get(peer.ID);
      const patch = known === undefined ? undefined : patchBetween(known, peer);
      if (patch === undefined) {
        upserts.push(peer);
      } else {
        patches.push(patch);
      }
    }
    for (const id of message.PeersRemoved ?? []) {
      this.peers.delete(id);
    }
    for (const peer of upserts) {
      this.peers.set(peer.ID, peer);
    }
    for (const [id, online] of Object.entries(message.OnlineChange ?? {})) {
      this.#patch({ NodeID: Number(id) as NodeId, Online: online });
    }
    for (const patch of [...patches, ...(message.PeersChangedPatch ?? [])]) {
      this.#patch(patch);
    }
  }

  #patch(patch: PeerChange): void {
    const peer = this.peers.get(patch.NodeID);
    if (peer === undefined) {
      return;
    }
    const { NodeID, DERPRegion, ...rest } = patch;
    this.peers.set(NodeID, {
      ...peer,
      ...rest,
      ...(DERPRegion === undefined ? {} : { HomeDERP: DERPRegion }),
    });
  }

  #takeRest(message: MapResponse): void {
    this.self = message.Node ?? this.self;
    for (const profile of message.UserProfiles ?? []) {
      this.users.set(profile.ID, profile);
    }
    this.derp = message.DERPMap ?? this.derp;
    for (const [name, rules] of Object.entries(message.PacketFilters ?? {})) {
      if (rules === null) {
        this.filters.delete(name);
      } else {
        this.filters.set(name, rules);
      }
    }
    this.dns = message.DNSConfig ?? this.dns;
    this.ssh = message.SSHPolicy?.rules ?? this.ssh;
  }

  #checkResult(): void {
    for (const peer of this.peers.values()) {
      if (peer.ID === this.self?.ID) {
        throw new Error("a client is its own peer");
      }
      if (typeof peer.Online !== "boolean") {
        throw new Error("a peer is neither online nor offline");
      }
      if (!this.users.has(peer.User)) {
        throw new Error(`no profile of user ${peer.User}, who owns peer ${peer.ID}`);
      }
    }
    if (this.self !== undefined && !this.users.has(this.self.User)) {
      throw new Error("no profile of the node's own user");
    }
  }
}

/** What a client makes of a whole node it knows: a patch when that says it all, and then with a patch's losses. */
function patchBetween(known: MapNode, told: MapNode): PeerChange | undefined {
  const before = new Map<string, unknown>(Object.entries(known));
  const after = new Map<string, unknown>(Object.entries(told));
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    if (!patchable.has(name) && JSON.stringify(before.get(name)) !== JSON.stringify(after.get(name))) {
      return undefined;
    }
  }
  return {
    NodeID: told.ID,
    Key: told.Key,
    KeyExpiry: told.KeyExpiry ?? "0001-01-01T00:00:00Z",
    ...(told.DiscoKey === undefined ? {} : { DiscoKey: told.DiscoKey }),
    ...(told.Endpoints === undefined ? {} : { Endpoints: told.Endpoints }),
    ...(told.HomeDERP === undefined ? {} : { DERPRegion: told.HomeDERP }),
    ...(told.Cap === undefined ? {} : { Cap: told.Cap }),
    ...(told.CapMap === undefined ? {} : { CapMap: told.CapMap }),
    // From none to some and back is what a patch made of a whole node cannot say (§4.5).
    ...(told.Online === undefined || known.Online === undefined ? {} : { Online: told.Online }),
    ...(told.LastSeen === undefined || known.LastSeen === undefined ? {} : { LastSeen: told.LastSeen }),
  };
}
