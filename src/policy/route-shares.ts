// Which routes of a peer a viewer is told. A subnet route is told when a rule lets the viewer (or what is behind it)
// reach it or be reached from it; an exit route when a rule opens the internet to the viewer. Steered rules (via) take
// routes away from routers without the tag and give them to those that have it.
import { formatPrefix, isExitRoute, type Prefix } from "../ip/index.ts";
import { emptyBits, hasBit, intersects, setBit, type Bits } from "./bits.ts";
import type { PolicyNode, RouteShare } from "./engine.ts";
import { steersRoute, type Entry } from "./entries.ts";
import type { Program, Reach } from "./program.ts";
import type { View } from "./views.ts";

/** What rules say of one subnet route. */
interface RouteFacts {
  readonly route: Prefix;
  /** Sources overlap it; not steered destinations overlap it. */
  readonly src: Bits;
  readonly dst: Bits;
  readonly steering: readonly Reach[];
}

interface PeerFacts {
  readonly subnets: readonly RouteFacts[];
  readonly shares: Map<string, RouteShare>;
}

export interface RouteWorld {
  readonly program: Program;
  /** Routers that advertise exactly this prefix (as text). */
  routersOf(route: string): Iterable<Entry>;
  withoutIPv4(node: PolicyNode): boolean;
}

export class RouteShares {
  readonly #world: RouteWorld;
  readonly #facts = new WeakMap<Entry, PeerFacts>();
  /** Shares are counted per state of a node, and outlive changes of its owner. */
  readonly #shares = new WeakMap<PolicyNode, Map<string, RouteShare>>();
  readonly #viaExits: readonly Reach[];

  constructor(world: RouteWorld) {
    this.#world = world;
    this.#viaExits = world.program.viaReaches.filter(({ exit }) => exit);
  }

  of(view: View, peer: Entry): RouteShare {
    const facts = this.#factsOf(peer);
    const withoutIPv4 = view.traits.withoutIPv4 || this.#world.withoutIPv4(peer.node);
    const ifPrimary: Prefix[] = [];
    const always: Prefix[] = [];
    for (const route of facts.subnets) {
      const told = this.#subnet(view, peer, route);
      if (told === "if-primary") {
        ifPrimary.push(route.route);
      } else if (told === "always") {
        always.push(route.route);
      }
    }
    if (peer.exit && this.#mayUseExit(view, peer)) {
      always.push(...peer.node.routes.filter(isExitRoute));
    }
    return this.#intern(facts, peer, { ifPrimary, always, withoutIPv4 });
  }

  #subnet(view: View, peer: Entry, facts: RouteFacts): "if-primary" | "always" | "no" {
    if (view.advertises(facts.route)) {
      return "if-primary";
    }
    const steering = facts.steering.filter(({ id }) => hasBit(view.cls.src, id));
    const plain = view.reaches(facts.dst);
    if (steering.length > 0 && !plain) {
      return this.#steered(peer, facts.route, new Set(steering.flatMap(({ via }) => via)));
    }
    return plain || intersects(facts.src, view.cls.dst) ? "if-primary" : "no";
  }

  /**
   * Among the routers of the prefix that carry a tag of the steering rules: the elected one if all routers do, else the
   * one that comes first, so that a router that is there is told in the place of one that is not.
   */
  #steered(peer: Entry, route: Prefix, tags: ReadonlySet<string>): "if-primary" | "always" | "no" {
    const tagged = (entry: Entry): boolean => entry.identity.tags.some((tag) => tags.has(tag));
    if (!tagged(peer)) {
      return "no";
    }
    let first = peer;
    let all = true;
    for (const router of this.#world.routersOf(formatPrefix(route))) {
      if (!tagged(router)) {
        all = false;
      } else if (comesBefore(router.node, first.node)) {
        first = router;
      }
    }
    return all ? "if-primary" : first === peer ? "always" : "no";
  }

  #mayUseExit(view: View, peer: Entry): boolean {
    return (
      view.reaches(this.#world.program.exitReaches) ||
      this.#viaExits.some(
        (reach) => hasBit(view.cls.src, reach.id) && reach.via.some((tag) => peer.identity.tags.includes(tag)),
      )
    );
  }

  #factsOf(peer: Entry): PeerFacts {
    let facts = this.#facts.get(peer);
    if (facts === undefined) {
      let shares = this.#shares.get(peer.node);
      if (shares === undefined) {
        shares = new Map();
        this.#shares.set(peer.node, shares);
      }
      facts = { subnets: peer.subnets.map((route) => routeFacts(this.#world.program, route)), shares };
      this.#facts.set(peer, facts);
    }
    return facts;
  }

  #intern(facts: PeerFacts, peer: Entry, share: Omit<RouteShare, "id">): RouteShare {
    const whole =
      !share.withoutIPv4 &&
      share.ifPrimary.length === peer.subnets.length &&
      share.ifPrimary.length + share.always.length === peer.node.routes.length;
    const key = whole
      ? "whole"
      : `${share.ifPrimary.map(formatPrefix).join(" ")}|${share.always.map(formatPrefix).join(" ")}|${share.withoutIPv4 ? 6 : ""}`;
    let known = facts.shares.get(key);
    if (known === undefined) {
      known = { ...share, id: whole ? 0 : facts.shares.size + 1 };
      facts.shares.set(key, known);
    }
    return known;
  }
}

const nobodyThere = Number.MAX_SAFE_INTEGER;

function comesBefore(x: PolicyNode, y: PolicyNode): boolean {
  const [mine, other] = [x.precedence ?? nobodyThere, y.precedence ?? nobodyThere];
  return mine < other || (mine === other && x.id < y.id);
}

function routeFacts(program: Program, route: Prefix): RouteFacts {
  const src = emptyBits(program.reaches.length);
  const dst = program.networkReaches.slice();
  for (const source of program.sources) {
    if (source.postures.length === 0 && (source.any || source.danger || source.addresses.overlaps(route))) {
      program.reachesOfSource[source.id]?.forEach((reach) => setBit(src, reach));
    }
  }
  program.reachPrefixes.forOverlaps(route, (reach) => setBit(dst, reach));
  return { route, src, dst, steering: program.viaReaches.filter((reach) => steersRoute(reach, route)) };
}
