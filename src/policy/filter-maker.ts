// One node's packet filter, put together line by line. Lines with equal sources and protocol become one rule.
import type { Addr } from "../ip/index.ts";
import type { CapGrant, CapMap, FilterRule, NetPortRange } from "../wire/tailcfg.ts";
import { AddressList } from "./address-list.ts";
import { hasBit } from "./bits.ts";
import { addressesOf, type Entry } from "./entries.ts";
import { Destinations } from "./filter-destinations.ts";
import type { PortRange } from "./ports.ts";
import type { Emit, Program, Reach, Source } from "./program.ts";
import { sameTexts, type SourceBook } from "./sources.ts";

/** What filters ask of the engine. */
export interface FilterWorld {
  readonly program: Program;
  readonly sources: SourceBook;
  nodeCount(): number;
  entriesOfUser(entry: Entry): Iterable<Entry>;
  /** Moves whenever anything about this user's nodes changed. */
  userVersion(entry: Entry): number;
}

/** A line on its way into a filter. `own` marks what names the node itself, and so can not be shared. */
type Line =
  | {
      readonly kind: "ports";
      readonly order: number;
      readonly src: readonly string[];
      readonly protocol: number | undefined;
      readonly dst: NetPortRange[];
    }
  | {
      readonly kind: "caps";
      readonly order: number;
      readonly src: readonly string[];
      readonly grants: readonly CapGrant[];
    };

export class FilterMaker {
  readonly #world: FilterWorld;
  readonly #entry: Entry;
  readonly #destinations: Destinations;
  readonly #lines: Line[] = [];
  readonly #selfTexts = new Map<Source, readonly string[]>();
  constructor(world: FilterWorld, entry: Entry) {
    this.#world = world;
    this.#entry = entry;
    this.#destinations = new Destinations(world.program, entry);
  }

  emit(emit: Emit): void {
    if (emit.reach.self && this.#entry.identity.user === undefined) {
      return;
    }
    switch (emit.kind) {
      case "ports":
        this.#ports(emit);
        return;
      case "apps":
        this.#apps(emit);
        return;
      case "companion":
        this.#companion(emit);
        return;
    }
  }

  #ports({ order, reach, unit }: Extract<Emit, { kind: "ports" }>): void {
    const dst = unit.targets.flatMap(({ selector, ports }) =>
      this.#destinations.texts(reach, selector).flatMap((IP) => ports.map((range) => portRange(IP, range))),
    );
    if (dst.length === 0) {
      return;
    }
    const src = this.#sourceTexts(reach);
    if (src.length === 0) {
      return;
    }
    const line = this.#lines.find(
      (each) => each.kind === "ports" && each.protocol === unit.protocol && this.#sameSources(each.src, src),
    );
    if (line?.kind === "ports") {
      line.dst.push(...dst);
    } else {
      this.#lines.push({
        kind: "ports",
        order: this.#placeOf(order, reach, src, unit.protocol),
        src,
        protocol: unit.protocol,
        dst,
      });
    }
  }

  /**
   * Tailscale merges rules with equal sources over the whole policy before it looks at one node, so a rule may stand
   * where another began that is none of this node's. The order decides nothing; where comparing all sources would be
   * dear, only lines with the very same source are followed.
   */
  #placeOf(order: number, reach: Reach, src: readonly string[], protocol: number | undefined): number {
    const { program, sources } = this.#world;
    if (!isSmall(this.#world)) {
      return program.firstOf[order] ?? order;
    }
    const first = program.emits.find(
      (emit) =>
        emit.kind === "ports" &&
        emit.order < order &&
        emit.unit.protocol === protocol &&
        !emit.reach.self &&
        emit.reach.via.length === 0 &&
        this.#sameSources(sources.state(emit.reach.source).texts(), src),
    );
    return reach.via.length > 0 ? order : (first?.order ?? order);
  }

  /** What is written out besides the members stands behind them, so equal sources may differ in order. */
  #sameSources(x: readonly string[], y: readonly string[]): boolean {
    return sameTexts(x, y) || (isSmall(this.#world) && x.length === y.length && sameTexts(x.toSorted(), y.toSorted()));
  }

  #sourceTexts(reach: Reach): readonly string[] {
    return reach.self ? this.#textsOfSelf(reach.source) : this.#world.sources.state(reach.source).texts();
  }

  /** The addresses of the owner's devices that are among the source. */
  #textsOfSelf(source: Source): readonly string[] {
    let texts = this.#selfTexts.get(source);
    if (texts === undefined) {
      const addresses: Addr[] = [];
      for (const other of this.#world.entriesOfUser(this.#entry)) {
        if (isSelfSource(source, other, this.#world.program)) {
          addresses.push(...addressesOf(other.node));
        }
      }
      texts = new AddressList(addresses).texts();
      this.#selfTexts.set(source, texts);
    }
    return texts;
  }

  #apps({ order, reach, unit }: Extract<Emit, { kind: "apps" }>): void {
    const caps: CapMap = Object.fromEntries(unit.apps.map(({ name, values }) => [name, values]));
    const grants = unit.targets.flatMap((selector) => {
      const Dsts = this.#destinations.capTexts(selector);
      return Dsts.length === 0 ? [] : [{ Dsts, CapMap: caps }];
    });
    const src = grants.length === 0 ? [] : this.#sourceTexts(reach);
    // A rule for nobody is written down, but towards one's own devices there is none.
    if (grants.length > 0 && (src.length > 0 || !reach.self)) {
      this.#lines.push({ kind: "caps", order, src, grants });
    }
  }

  #companion({ order, reach, capability, destinations }: Extract<Emit, { kind: "companion" }>): void {
    const { source } = reach;
    if (reach.self && !isSelfSource(source, this.#entry, this.#world.program)) {
      return;
    }
    const src = reach.self ? this.#allOwnDevices() : this.#world.sources.state(destinations).texts();
    const Dsts = reach.self
      ? this.#destinations.capTexts({ kind: "self", text: "", at: 0 })
      : this.#destinations.companionTexts(source);
    if (src.length > 0 && Dsts.length > 0) {
      this.#lines.push({ kind: "caps", order, src, grants: [{ Dsts, CapMap: { [capability]: null } }] });
    }
  }

  #allOwnDevices(): readonly string[] {
    const addresses = [...this.#world.entriesOfUser(this.#entry)].flatMap((other) => addressesOf(other.node));
    return new AddressList(addresses).texts();
  }

  /** Something in it names the node itself, so that no other node can have the same. */
  get own(): boolean {
    return this.#destinations.own;
  }

  rules(): readonly FilterRule[] {
    return this.#lines
      .toSorted((x, y) => x.order - y.order)
      .map((line) =>
        line.kind === "caps"
          ? { SrcIPs: line.src, CapGrant: line.grants }
          : {
              SrcIPs: line.src,
              DstPorts: line.dst,
              ...(line.protocol === undefined ? {} : { IPProto: [line.protocol] }),
            },
      );
  }
}

/** Few enough sources and nodes that comparing all of them costs nothing to speak of. */
export function isSmall(world: Pick<FilterWorld, "program" | "nodeCount">): boolean {
  return world.program.sources.length * world.nodeCount() <= 2000;
}

function portRange(IP: string, { first, last }: PortRange): NetPortRange {
  return { IP, Ports: { First: first, Last: last } };
}

/** Is a person's device among the source of a rule towards the person's own devices? */
export function isSelfSource(source: Source, entry: Entry, program: Program): boolean {
  return program.reachesOfSource[source.id]?.some((reach) => hasBit(entry.cls.src, reach)) ?? false;
}
