// The sources of rules with their members: who is in, their addresses as text, and a version that moves whenever the
// text may have changed. Members and texts are worked out when first asked for, then kept up to date.
import { formatPrefix, IpSet, type Addr, type Prefix } from "../ip/index.ts";
import { AddressList } from "./address-list.ts";
import { addressesOf, namesAddress, type Entry } from "./entries.ts";
import type { IdentityBook } from "./identities.ts";
import { tailnetTexts } from "./networks.ts";
import type { Program, Source } from "./program.ts";

export class SourceState {
  readonly source: Source;
  readonly #book: SourceBook;
  #version = 0;
  #list: AddressList | undefined;
  #texts: readonly string[] | undefined;
  #textsVersion = -1;

  constructor(source: Source, book: SourceBook) {
    this.source = source;
    this.#book = book;
  }

  /** Grows whenever the texts may have changed. */
  get version(): number {
    return this.#version + (this.#usesRoutes ? this.#book.routesVersion : 0);
  }

  get #usesRoutes(): boolean {
    return this.source.any && this.source.postures.length === 0;
  }

  /** The nodes in the source by what they are; literal addresses are not looked up. */
  members(): readonly Entry[] {
    return this.#book.membersOf(this.source);
  }

  /** A member came, left, or changed without its address. */
  touch(): void {
    this.#version += 1;
  }

  join(entry: Entry): void {
    this.touch();
    if (this.#list !== undefined) {
      memberAddresses(this.source, entry).forEach((addr) => this.#list?.add(addr));
    }
  }

  leave(entry: Entry): void {
    this.touch();
    if (this.#list !== undefined) {
      memberAddresses(this.source, entry).forEach((addr) => this.#list?.remove(addr));
    }
  }

  /** As `SrcIPs`; the same array while it is unchanged. Empty: nobody. */
  texts(): readonly string[] {
    if (this.#textsVersion !== this.version) {
      const made = this.#make();
      this.#texts = this.#texts !== undefined && sameTexts(this.#texts, made) ? this.#texts : made;
      this.#textsVersion = this.version;
    }
    return this.#texts ?? [];
  }

  #make(): readonly string[] {
    const { source } = this;
    const withPosture = source.postures.length > 0;
    if (source.danger && !withPosture) {
      return ["*"];
    }
    this.#list ??= new AddressList(
      this.members().flatMap((entry) => memberAddresses(source, entry)),
      withPosture ? IpSet.empty : source.addresses,
    );
    const own = this.#list.texts();
    return this.#usesRoutes ? [...new Set([...own, ...tailnetTexts, ...this.#book.routeTexts()])] : own;
  }
}

/** A member by what it is counts with all its addresses; one that is named by address, with those named. */
function memberAddresses(source: Source, entry: Entry): readonly Addr[] {
  const addresses = addressesOf(entry.node);
  return source.postures.length === 0 || source.nodeSets.some((set) => entry.identity.sets.includes(set))
    ? addresses
    : addresses.filter((addr) => namesAddress(source, addr));
}

/** Equal texts in equal order. */
export function sameTexts(x: readonly string[], y: readonly string[]): boolean {
  return x === y || (x.length === y.length && x.every((text, index) => text === y[index]));
}

export class SourceBook {
  readonly #states: readonly SourceState[];
  readonly #identities: IdentityBook;
  readonly #entries: () => Iterable<Entry>;
  /** Approved subnet routes of the whole tailnet, counted. */
  readonly #routes = new Map<string, { count: number }>();
  #routeTexts: readonly string[] | undefined;
  routesVersion = 0;

  constructor(program: Program, identities: IdentityBook, entries: () => Iterable<Entry>) {
    this.#identities = identities;
    this.#entries = entries;
    this.#states = program.sources.map((source) => new SourceState(source, this));
  }

  state(source: Source): SourceState {
    const state = this.#states[source.id];
    if (state === undefined) {
      throw new Error(`source ${source.id} is not of this program`);
    }
    return state;
  }

  stateById(id: number): SourceState | undefined {
    return this.#states[id];
  }

  /** Moves when any source does. */
  totalVersion(): number {
    return this.#states.reduce((sum, state) => sum + state.version, 0);
  }

  addRoutes(routes: readonly Prefix[]): void {
    for (const prefix of routes) {
      const text = formatPrefix(prefix);
      const known = this.#routes.get(text);
      if (known === undefined) {
        this.#routes.set(text, { count: 1 });
        this.#routesChanged();
      } else {
        known.count += 1;
      }
    }
  }

  removeRoutes(routes: readonly Prefix[]): void {
    for (const prefix of routes) {
      const text = formatPrefix(prefix);
      const known = this.#routes.get(text);
      if (known !== undefined) {
        known.count -= 1;
        if (known.count === 0) {
          this.#routes.delete(text);
          this.#routesChanged();
        }
      }
    }
  }

  #routesChanged(): void {
    this.routesVersion += 1;
    this.#routeTexts = undefined;
  }

  /** Sorted, so that the same routes give the same text whatever order they came in. */
  routeTexts(): readonly string[] {
    this.#routeTexts ??= [...this.#routes.keys()].sort();
    return this.#routeTexts;
  }

  membersOf(source: Source): readonly Entry[] {
    const found: Entry[] = [];
    const byIdentity = source.postures.length === 0 || (!source.any && !source.danger && source.prefixes.length === 0);
    const candidates = byIdentity ? this.#identities.entriesIn(source.nodeSets) : this.#entries();
    for (const entry of candidates) {
      if (entry.sources.includes(source.id)) {
        found.push(entry);
      }
    }
    return found;
  }
}
