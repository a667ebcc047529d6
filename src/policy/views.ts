// What nodes of one class see of the others. A view belongs to a class and to what else tells viewers apart: the owner
// where autogroup:self is in force, the viewer's own routes, whether it goes without IPv4.
import { equalPrefix, formatPrefix, type Prefix } from "../ip/index.ts";
import type { NodeId, UserId } from "../wire/ids.ts";
import { intersects, type Bits } from "./bits.ts";
import { seeEachOther, type NodeClass } from "./classes.ts";
import type { PolicyView, RouteShare, ViewId } from "./engine.ts";
import type { Entry } from "./entries.ts";
import { nextViewId } from "./view-ids.ts";

/** What views ask of the engine. */
export interface ViewWorld {
  /** Moves whenever any node's class, owner or existence changed. */
  readonly structure: number;
  readonly selfReaches: Bits;
  entry(id: NodeId): Entry | undefined;
  /** Node ids, ascending. */
  ids(): readonly NodeId[];
  classes(): Iterable<NodeClass>;
  entriesOfUser(id: UserId): Iterable<Entry>;
  shareOf(view: View, peer: Entry): RouteShare;
}

/** What tells viewers of one class apart. */
export interface ViewTraits {
  /** Undefined where autogroup:self is not in force for the viewer. */
  readonly user: UserId | undefined;
  readonly routes: readonly Prefix[];
  readonly withoutIPv4: boolean;
}

export function traitsKey(traits: ViewTraits): string {
  return `${traits.user ?? ""}|${traits.routes.map(formatPrefix).join(" ")}|${traits.withoutIPv4 ? "6" : ""}`;
}

export class View implements PolicyView {
  readonly id: ViewId = nextViewId();
  readonly cls: NodeClass;
  readonly traits: ViewTraits;
  readonly #world: ViewWorld;
  #peers: readonly NodeId[] = [];
  #peersStructure = -1;

  constructor(cls: NodeClass, traits: ViewTraits, world: ViewWorld) {
    this.cls = cls;
    this.traits = traits;
    this.#world = world;
  }

  sees(peer: NodeId): boolean {
    const entry = this.#world.entry(peer);
    return entry !== undefined && (seeEachOther(this.cls, entry.cls) || this.#ownDevice(entry));
  }

  /** Devices of one person see each other when a rule lets either of them reach autogroup:self. */
  #ownDevice(entry: Entry): boolean {
    return (
      this.traits.user !== undefined &&
      entry.identity.user?.id === this.traits.user &&
      (intersects(this.cls.src, this.#world.selfReaches) || intersects(entry.cls.src, this.#world.selfReaches))
    );
  }

  peers(): readonly NodeId[] {
    if (this.#peersStructure !== this.#world.structure) {
      this.#peers = this.#findPeers();
      this.#peersStructure = this.#world.structure;
    }
    return this.#peers;
  }

  #findPeers(): readonly NodeId[] {
    const found: NodeId[] = [];
    let count = 0;
    const hidden: NodeClass[] = [];
    for (const cls of this.#world.classes()) {
      if (seeEachOther(this.cls, cls)) {
        count += cls.nodes.size;
        cls.nodes.forEach((id) => found.push(id));
      } else {
        hidden.push(cls);
      }
    }
    const all = this.#world.ids();
    if (count === all.length) {
      return all;
    }
    if (this.traits.user !== undefined) {
      for (const entry of this.#world.entriesOfUser(this.traits.user)) {
        if (hidden.includes(entry.cls) && this.#ownDevice(entry)) {
          found.push(entry.node.id);
        }
      }
    }
    return found.sort((a, b) => a - b);
  }

  routesOf(peer: NodeId): RouteShare {
    const entry = this.#world.entry(peer);
    if (entry === undefined) {
      throw new Error(`routes asked of node ${peer}, which is not there`);
    }
    return this.#world.shareOf(this, entry);
  }

  /** Does the viewer advertise this very prefix itself? */
  advertises(route: Prefix): boolean {
    return this.traits.routes.some((own) => equalPrefix(own, route));
  }

  /** Has the viewer a rule towards one of these destinations? */
  reaches(dst: Bits): boolean {
    return intersects(this.cls.src, dst);
  }
}
