// The packet side of a preview: every pair of groups whose rules differ, what the one gains and loses towards the other,
// and equal answers told together.
import { AccessBook, type AccessId, type Difference } from "./access-book.ts";
import { accessOf } from "./access.ts";
import { elements, type Bits } from "./bits.ts";
import type { CompiledEngine } from "./compiled-engine.ts";
import type { Entry } from "./entries.ts";
import { overlay, type Overlay, type PairedGroup } from "./preview-classes.ts";
import { groupOf, type AccessChange } from "./preview-groups.ts";

type When = "before" | "after";

interface Merged {
  readonly difference: Difference;
  readonly src: PairedGroup[];
  readonly dst: readonly PairedGroup[];
}

export class AccessComparison {
  readonly #engines: Readonly<Record<When, CompiledEngine>>;
  readonly #overlay: Overlay;
  readonly #book = new AccessBook();
  /** Per destination: what each reach, by shared number, opens on it; -1 is not known yet. */
  readonly #opened: Readonly<Record<When, Int32Array[]>> = { before: [], after: [] };
  /** How many nodes (not counting people's, where autogroup:self is in force) are in both groups. */
  readonly #inBoth = new Map<number, number>();
  pairsGaining = 0;
  pairsLosing = 0;

  constructor(before: CompiledEngine, after: CompiledEngine) {
    this.#engines = { before, after };
    this.#overlay = overlay(before, after);
    for (const [{ identity }, { src, dst }] of this.#overlay.groupsOf) {
      if (!this.#hasSelf || identity.user === undefined) {
        const key = bothKey(src, dst);
        this.#inBoth.set(key, (this.#inBoth.get(key) ?? 0) + 1);
      }
    }
  }

  /** The largest `limit` changes, and how many more there are. */
  run(limit: number): { readonly changes: readonly AccessChange[]; readonly more: number } {
    const merged = this.#mergeRows();
    const sized = merged.map((each) => ({ ...each, size: countOf(each.src) * countOf(each.dst) }));
    sized.sort((x, y) => y.size - x.size);
    const own = this.#ownDevices();
    const changes = [
      ...own,
      ...sized.slice(0, Math.max(0, limit - own.length)).map(({ src, dst, difference }) => ({
        src: groupOf(
          src.flatMap(({ entries }) => entries),
          src[0]?.behind,
        ),
        dst: groupOf(dst.flatMap(({ entries }) => entries)),
        ownDevices: false,
        gained: difference.gained,
        lost: difference.lost,
      })),
    ];
    return { changes, more: own.length + sized.length - changes.length };
  }

  get #hasSelf(): boolean {
    return this.#engines.before.program.hasSelf || this.#engines.after.program.hasSelf;
  }

  /** Sources with the same differences towards the same destinations are told together. */
  #mergeRows(): readonly Merged[] {
    const { sources, destinations } = this.#overlay;
    const all = this.#rowsTo(destinations);
    const changed = this.#rowsTo(destinations.filter((dst) => dst.changed));
    const merged = new Map<string, Merged>();
    for (const src of sources) {
      for (const [difference, dst] of this.#row(src, src.changed ? all : changed)) {
        const key = `${src.behind ? "behind " : ""}${difference.id} ${fingerprint(dst)}`;
        const found = merged.get(key);
        if (found === undefined) {
          merged.set(key, { difference, src: [src], dst });
        } else {
          found.src.push(src);
        }
      }
    }
    return [...merged.values()];
  }

  #rowsTo(destinations: readonly PairedGroup[]): TwoRows {
    const size = this.#overlay.destinations.length;
    const rows = (when: When): Rows =>
      new Rows(destinations, size, when, (reach, to) => this.#opens(reach, to, when), this.#book);
    return { destinations, before: rows("before"), after: rows("after") };
  }

  #row(src: PairedGroup, to: TwoRows): Map<Difference, PairedGroup[]> {
    const before = to.before.of(src.before);
    const after = to.after.of(src.after);
    const row = new Map<Difference, PairedGroup[]>();
    for (const dst of to.destinations) {
      const difference = this.#book.difference(before[dst.number] ?? 0, after[dst.number] ?? 0);
      const pairs = difference === undefined ? 0 : this.#pairs(src, dst);
      if (difference === undefined || pairs === 0) {
        continue;
      }
      if (!src.behind) {
        this.#count(difference, pairs);
      }
      const found = row.get(difference);
      if (found === undefined) {
        row.set(difference, [dst]);
      } else {
        found.push(dst);
      }
    }
    return row;
  }

  /** Pairs of different nodes; those of one person are counted apart where autogroup:self is in force. */
  #pairs(src: PairedGroup, dst: PairedGroup): number {
    if (src.behind) {
      return src.entries.length * dst.entries.length;
    }
    let pairs = src.entries.length * dst.entries.length - (this.#inBoth.get(bothKey(src, dst)) ?? 0);
    if (this.#hasSelf) {
      const [few, many] = src.owners.size < dst.owners.size ? [src, dst] : [dst, src];
      for (const [owner, count] of few.owners) {
        pairs -= count * (many.owners.get(owner) ?? 0);
      }
    }
    return pairs;
  }

  #count(difference: Difference, pairs: number): void {
    this.pairsGaining += difference.gained.length > 0 ? pairs : 0;
    this.pairsLosing += difference.lost.length > 0 ? pairs : 0;
  }

  /** What the reaches that both sides have in common open, together, on this node. */
  #accessBy(src: Bits, dst: Bits, to: PairedGroup, when: When): AccessId {
    let access = 0;
    for (let i = 0; i < src.length; i++) {
      for (let word = (src[i] ?? 0) & (dst[i] ?? 0); word !== 0; word &= word - 1) {
        access = this.#book.union(access, this.#opens(i * 32 + 31 - Math.clz32(word & -word), to, when));
      }
    }
    return access;
  }

  #opens(reach: number, to: PairedGroup, when: When): AccessId {
    const opened = this.#openedOn(to, when, to[when].length * 32);
    let opens = opened[reach] ?? 0;
    if (opens === -1) {
      const rule = this.#overlay[when].get(reach);
      opens = rule === undefined ? 0 : this.#book.id(accessOf(this.#engines[when], rule, to.samples[when]));
      opened[reach] = opens;
    }
    return opens;
  }

  #openedOn(to: PairedGroup, when: When, size: number): Int32Array {
    let opened = this.#opened[when][to.number];
    if (opened === undefined) {
      opened = new Int32Array(size).fill(-1);
      this.#opened[when][to.number] = opened;
    }
    return opened;
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
      gained: difference.gained,
      lost: difference.lost,
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
      const { self } = this.#overlay;
      const plain = this.#accessBy(src[when], dst[when], dst, when);
      return this.#book.union(plain, this.#accessBy(src[when], self, dst, when));
    };
    return src.changed || dst.changed ? this.#book.difference(access("before"), access("after")) : undefined;
  }
}

interface TwoRows {
  readonly destinations: readonly PairedGroup[];
  readonly before: Rows;
  readonly after: Rows;
}

/** What a source may do to every destination at once, rule by rule: most rules name few destinations. */
class Rows {
  /** Per reach: the destinations it names. */
  readonly #named: PairedGroup[][] = [];
  readonly #row: Int32Array;
  readonly #opens: (reach: number, to: PairedGroup) => AccessId;
  readonly #book: AccessBook;

  constructor(
    destinations: readonly PairedGroup[],
    size: number,
    when: When,
    opens: (reach: number, to: PairedGroup) => AccessId,
    book: AccessBook,
  ) {
    this.#row = new Int32Array(size);
    this.#opens = opens;
    this.#book = book;
    for (const dst of destinations) {
      for (const reach of elements(dst[when])) {
        (this.#named[reach] ??= []).push(dst);
      }
    }
  }

  /** Access by the number of the destination; the same array every time. */
  of(src: Bits): Int32Array {
    this.#row.fill(0);
    for (const reach of elements(src)) {
      for (const dst of this.#named[reach] ?? []) {
        this.#row[dst.number] = this.#book.union(this.#row[dst.number] ?? 0, this.#opens(reach, dst));
      }
    }
    return this.#row;
  }
}

function bothKey(src: PairedGroup, dst: PairedGroup): number {
  return src.number * 2 ** 24 + dst.number;
}

function countOf(groups: readonly PairedGroup[]): number {
  return groups.reduce((sum, { entries }) => sum + entries.length, 0);
}

/** Two rolling sums over the numbers of the groups: enough to tell lists apart. */
function fingerprint(groups: readonly PairedGroup[]): string {
  let x = 0x811c9dc5;
  let y = 5381;
  for (const { number } of groups) {
    x = Math.imul(x ^ number, 0x01000193);
    y = (Math.imul(y, 33) + number) | 0;
  }
  return `${groups.length}:${x >>> 0}:${y >>> 0}`;
}
