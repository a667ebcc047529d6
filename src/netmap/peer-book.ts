// The JSON of every peer, made once per change: whole, in one variant for each share of its routes that some view
// has, and as patches. All viewers of the same variant get the same text.
import type { RouteShare } from "../policy/engine.ts";
import type { Node } from "../tailnet/model.ts";
import type { NodeId } from "../wire/ids.ts";
import type { CapMap, PeerChange } from "../wire/tailcfg.ts";
import { changed } from "./change-log.ts";
import type { NetmapCounters } from "./counters.ts";
import { peerBody, presenceOf } from "./node-picture.ts";
import type { NetmapSettings } from "./settings.ts";
import { timeText, zeroTime } from "./texts.ts";
import { sameShare } from "./view.ts";

interface Variant {
  readonly share: RouteShare;
  /** The peer's JSON without Online and LastSeen, and without its closing brace. */
  readonly open: string;
}

interface Entry {
  variants: Variant[];
  /** What closes the JSON: Online and LastSeen. */
  presence: string | undefined;
  readonly patches: Map<number, string>;
  /** JSON of the capabilities that sessions were told as of the last step; undefined before anything was written. */
  caps: string | undefined;
  /** A session that opened since was told others. */
  capsDiffer: boolean;
  /** Some viewer may hold capabilities of this peer: leaving them out would not take them away (§4.5). */
  hadCaps: boolean;
}

export interface PeerSource {
  node(id: NodeId): Node | undefined;
  peerCaps(id: NodeId): CapMap | undefined;
}

export class PeerBook {
  readonly #source: PeerSource;
  readonly #settings: Pick<NetmapSettings, "baseDomain">;
  readonly #counters: NetmapCounters;
  readonly #entries = new Map<NodeId, Entry>();

  constructor(source: PeerSource, settings: Pick<NetmapSettings, "baseDomain">, counters: NetmapCounters) {
    this.#source = source;
    this.#settings = settings;
    this.#counters = counters;
  }

  /** The whole peer, undefined when the node is gone. */
  peer(id: NodeId, share: RouteShare): string | undefined {
    const node = this.#source.node(id);
    if (node === undefined) {
      return undefined;
    }
    const { open } = this.#variant(node, share);
    const entry = this.#entry(id);
    entry.presence ??= `,${JSON.stringify(presenceOf(node)).slice(1)}`;
    return open + entry.presence;
  }

  #variant(node: Node, share: RouteShare): Variant {
    const entry = this.#entry(node.id);
    let variant = entry.variants.find((candidate) => sameShare(candidate.share, share));
    if (variant === undefined) {
      this.#counters.encodes++;
      const caps = this.#source.peerCaps(node.id);
      entry.caps ??= capsText(caps);
      entry.capsDiffer ||= entry.caps !== capsText(caps);
      const told = caps ?? (entry.hadCaps ? {} : undefined);
      entry.hadCaps ||= caps !== undefined;
      variant = { share, open: JSON.stringify(peerBody(node, share, told, this.#settings)).slice(0, -1) };
      entry.variants.push(variant);
    }
    return variant;
  }

  /** What these bits say of the peer now, undefined when the node is gone. */
  patch(id: NodeId, bits: number): string | undefined {
    const node = this.#source.node(id);
    if (node === undefined) {
      return undefined;
    }
    const { patches } = this.#entry(id);
    let patch = patches.get(bits);
    if (patch === undefined) {
      this.#counters.encodes++;
      patch = JSON.stringify(patchOf(node, bits));
      patches.set(bits, patch);
    }
    return patch;
  }

  #entry(id: NodeId): Entry {
    let entry = this.#entries.get(id);
    if (entry === undefined) {
      entry = {
        variants: [],
        presence: undefined,
        patches: new Map(),
        caps: undefined,
        capsDiffer: false,
        hadCaps: false,
      };
      this.#entries.set(id, entry);
    }
    return entry;
  }

  /** The node changed in these bits: what was written of it is written anew when next asked for. */
  changed(id: NodeId, bits: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) {
      return;
    }
    entry.presence = undefined;
    entry.patches.clear();
    if ((bits & ~changed.online) !== 0) {
      entry.variants = [];
    }
  }

  /** Are viewers of this peer told other capabilities than at the last step? Asked once in each step that may matter. */
  capsChanged(id: NodeId): boolean {
    const entry = this.#entries.get(id);
    if (entry?.caps === undefined) {
      return false;
    }
    const { caps, capsDiffer } = entry;
    entry.caps = capsText(this.#source.peerCaps(id));
    entry.capsDiffer = false;
    return capsDiffer || entry.caps !== caps;
  }

  /** Every peer that was written. */
  known(): Iterable<NodeId> {
    return this.#entries.keys();
  }

  removed(id: NodeId): void {
    this.#entries.delete(id);
  }
}

function capsText(caps: CapMap | undefined): string {
  return caps === undefined ? "" : JSON.stringify(caps);
}

/** The patch that says these bits (protocol §4.7 PeerChange). A cleared expiry is the zero time, never an absence. */
function patchOf(node: Node, bits: number): PeerChange {
  const has = (bit: number) => (bits & bit) !== 0;
  return {
    NodeID: node.id,
    ...(has(changed.derp) && node.homeDerp > 0 ? { DERPRegion: node.homeDerp } : {}),
    ...(has(changed.capver) && node.capVersion > 0 ? { Cap: node.capVersion } : {}),
    ...(has(changed.endpoints) ? { Endpoints: node.endpoints } : {}),
    ...(has(changed.key) ? { Key: node.nodeKey } : {}),
    ...(has(changed.disco) && node.discoKey !== null ? { DiscoKey: node.discoKey } : {}),
    ...(has(changed.online) ? presenceOf(node) : {}),
    ...(has(changed.expiry) ? { KeyExpiry: node.expiry === null ? zeroTime : timeText(node.expiry) } : {}),
  };
}
