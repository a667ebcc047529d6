// The packet side of a preview: every pair of groups whose rules differ, what the one gains and loses towards the other,
// and equal answers told together.
import { AccessBook, type AccessId, type Difference } from "./access-book.ts";
import type { CompiledEngine } from "./compiled-engine.ts";
import type { Entry } from "./entries.ts";
import { overlay, type Overlay, type PairedGroup } from "./preview-classes.ts";
import { groupOf, type AccessChange } from "./preview-groups.ts";
import { Openings, RowMerger, Rows, type Merged, type When } from "./preview-rows.ts";

interface Columns {
  /** Of the destinations, ascending. */
  readonly numbers: Int32Array;
  readonly before: Rows;
  readonly after: Rows;
}

export class AccessComparison {
  readonly #engines: Readonly<Record<When, CompiledEngine>>;
  readonly #overlay: Overlay;
  readonly #book = new AccessBook();
  readonly #openings: Readonly<Record<When, Openings>>;
  readonly #overlaps: Overlaps;
  pairsGaining = 0;
  pairsLosing = 0;

  constructor(before: CompiledEngine, after: CompiledEngine) {
    this.#engines = { before, after };
    this.#overlay = overlay(before, after);
    this.#openings = {
      before: new Openings(before, this.#overlay.before, "before", this.#book),
      after: new Openings(after, this.#overlay.after, "after", this.#book),
    };
    this.#overlaps = new Overlaps(this.#overlay, this.#hasSelf);
  }

  /** The largest `limit` changes, and how many more there are. */
  run(limit: number): { readonly changes: readonly AccessChange[]; readonly more: number } {
    const { destinations } = this.#overlay;
    const merged = Array.from(this.#mergeRows(), (each) => ({ each, size: this.#sizeOf(each) }));
    merged.sort((x, y) => y.size - x.size);
    const own = this.#ownDevices();
    const changes = [
      ...own,
      ...merged.slice(0, Math.max(0, limit - own.length)).map(({ each: { src, dst, behind, difference } }) => ({
        src: this.#overlay.names.groupOf(src, behind),
        dst: this.#overlay.names.groupOf(dst.flatMap((number) => destinations[number] ?? [])),
        ownDevices: false,
        ...this.#book.inWords(difference),
      })),
    ];
    return { changes, more: own.length + merged.length - changes.length };
  }

  #sizeOf({ src, dst }: Merged<Difference>): number {
    const { destinations } = this.#overlay;
    let count = 0;
    for (const number of dst) {
      count += destinations[number]?.entries.length ?? 0;
    }
    return src.reduce((sum, { entries }) => sum + entries.length, 0) * count;
  }

  get #hasSelf(): boolean {
    return this.#engines.before.program.hasSelf || this.#engines.after.program.hasSelf;
  }

  #mergeRows(): Iterable<Merged<Difference>> {
    const { sources, destinations } = this.#overlay;
    const all = this.#columns(destinations);
    const changed = this.#columns(destinations.filter((dst) => dst.changed));
    const merger = new RowMerger<Difference>();
    const before = new Int32Array(destinations.length);
    const after = new Int32Array(destinations.length);
    for (const src of sources) {
      const columns = src.changed ? all : changed;
      columns.before.fill(src, before);
      columns.after.fill(src, after);
      this.#compare(src, columns.numbers, before, after, merger);
      merger.endRow(src);
    }
    return merger.all();
  }

  #columns(destinations: readonly PairedGroup[]): Columns {
    const rows = (when: When): Rows => new Rows(destinations, when, this.#openings[when], this.#book);
    return {
      numbers: Int32Array.from(destinations, ({ number }) => number),
      before: rows("before"),
      after: rows("after"),
    };
  }

  #compare(
    src: PairedGroup,
    numbers: Int32Array,
    before: Int32Array,
    after: Int32Array,
    merger: RowMerger<Difference>,
  ): void {
    const pairsTo = this.#overlaps.pairsFrom(src);
    for (let i = 0; i < numbers.length; i++) {
      const dst = numbers[i] ?? 0;
      const had = before[dst] ?? 0;
      const has = after[dst] ?? 0;
      if (had === has) {
        continue;
      }
      const difference = this.#book.difference(had, has);
      const pairs = difference === undefined ? 0 : (pairsTo[dst] ?? 0);
      if (difference === undefined || pairs === 0) {
        continue;
      }
      merger.note(difference, dst);
      if (!src.behind) {
        this.#count(difference, pairs);
      }
    }
  }

  #count(difference: Difference, pairs: number): void {
    this.pairsGaining += difference.gains ? pairs : 0;
    this.pairsLosing += difference.loses ? pairs : 0;
  }

  /** Between the devices of one person autogroup:self adds to what the rules say of everybody. */
  #ownDevices(): readonly AccessChange[] {
    if (!this.#hasSelf) {
      return [];
    }
    const merged = new Map<
      number,
      { readonly difference: Difference; readonly src: Set<Entry>; readonly dst: Set<Entry> }
    >();
    for (const devices of this.#devicesByOwner().values()) {
      for (const from of devices) {
        for (const to of devices) {
          const difference = from === to ? undefined : this.#ownDifference(from, to);
          if (difference !== undefined) {
            this.#count(difference, 1);
            const found = merged.get(difference.id) ?? { difference, src: new Set<Entry>(), dst: new Set<Entry>() };
            merged.set(difference.id, found);
            found.src.add(from);
            found.dst.add(to);
          }
        }
      }
    }
    return [...merged.values()].map(({ difference, src, dst }) => ({
      src: groupOf([...src]),
      dst: groupOf([...dst]),
      ownDevices: true,
      ...this.#book.inWords(difference),
    }));
  }

  #devicesByOwner(): ReadonlyMap<number, readonly Entry[]> {
    const byOwner = new Map<number, Entry[]>();
    for (const entry of this.#overlay.groupsOf.keys()) {
      const owner = entry.identity.user?.id;
      if (owner !== undefined) {
        const found = byOwner.get(owner);
        if (found === undefined) {
          byOwner.set(owner, [entry]);
        } else {
          found.push(entry);
        }
      }
    }
    return byOwner;
  }

  #ownDifference(from: Entry, to: Entry): Difference | undefined {
    const src = this.#overlay.groupsOf.get(from)?.src;
    const dst = this.#overlay.groupsOf.get(to)?.dst;
    if (src === undefined || dst === undefined) {
      return undefined;
    }
    const access = (when: When): AccessId => {
      const common = (named: PairedGroup["before"]): AccessId =>
        Rows.common(src[when], named, dst, this.#openings[when], this.#book);
      return this.#book.union(common(dst[when]), common(this.#overlay.self));
    };
    return src.changed || dst.changed ? this.#book.difference(access("before"), access("after")) : undefined;
  }
}

/** How many pairs of different nodes two groups make; those of one person are counted apart where autogroup:self is in force. */
class Overlaps {
  readonly #hasSelf: boolean;
  readonly #sizes: Int32Array;
  /** Per source: nodes (not people's, where autogroup:self is in force) that are in the destination, too. */
  readonly #inBoth: Map<number, number>[] = [];
  /** Per person: destinations with how many of their devices. */
  readonly #ownedIn = new Map<number, (readonly [dst: number, count: number])[]>();
  readonly #row: Float64Array;

  constructor({ groupsOf, destinations }: Overlay, hasSelf: boolean) {
    this.#hasSelf = hasSelf;
    this.#sizes = Int32Array.from(destinations, ({ entries }) => entries.length);
    this.#row = new Float64Array(destinations.length);
    for (const [{ identity }, { src, dst }] of groupsOf) {
      if (!hasSelf || identity.user === undefined) {
        const row = (this.#inBoth[src.number] ??= new Map<number, number>());
        row.set(dst.number, (row.get(dst.number) ?? 0) + 1);
      }
    }
    for (const { number, owners } of hasSelf ? destinations : []) {
      for (const [owner, count] of owners) {
        const owned = this.#ownedIn.get(owner) ?? [];
        this.#ownedIn.set(owner, owned);
        owned.push([number, count]);
      }
    }
  }

  /** By the number of the destination; the same array every time. */
  pairsFrom(src: PairedGroup): Float64Array {
    const row = this.#row;
    const count = src.entries.length;
    for (let i = 0; i < row.length; i++) {
      row[i] = count * (this.#sizes[i] ?? 0);
    }
    if (!src.behind) {
      for (const [dst, both] of this.#inBoth[src.number] ?? []) {
        row[dst] = (row[dst] ?? 0) - both;
      }
      for (const [owner, devices] of this.#hasSelf ? src.owners : []) {
        for (const [dst, others] of this.#ownedIn.get(owner) ?? []) {
          row[dst] = (row[dst] ?? 0) - devices * others;
        }
      }
    }
    return row;
  }
}
