// What a source may do to every destination at once, rule by rule: most rules name few destinations. Rows are reused
// and hold the numbers of accesses by the number of the destination.
import type { AccessBook, AccessId } from "./access-book.ts";
import { accessAt, Ground } from "./access.ts";
import { elements, type Bits } from "./bits.ts";
import type { CompiledEngine } from "./compiled-engine.ts";
import type { PairedGroup } from "./preview-classes.ts";
import type { Program, Reach } from "./program.ts";
import { nodeSetKey } from "./selectors.ts";

export type When = "before" | "after";

/** What the rules of one policy open on groups of nodes, each worked out once. */
export class Openings {
  readonly #engine: CompiledEngine;
  /** By shared number. */
  readonly #reaches: ReadonlyMap<number, Reach>;
  readonly #when: When;
  readonly #book: AccessBook;
  readonly #grounds: Ground[] = [];
  /** Per reach: the node sets of its targets where they alone decide, and what is opened by which of them hold the node. */
  readonly #sets: (readonly number[])[] = [];
  readonly #bySets: Map<number, AccessId>[] = [];
  /** Per reach: by the places where its targets lie. Most rules open the same on all nodes that they name. */
  readonly #byPlaces: Map<string, AccessId>[] = [];

  constructor(engine: CompiledEngine, reaches: ReadonlyMap<number, Reach>, when: When, book: AccessBook) {
    this.#engine = engine;
    this.#reaches = reaches;
    this.#when = when;
    this.#book = book;
  }

  on(to: PairedGroup, reach: number): AccessId {
    const rule = this.#reaches.get(reach);
    if (rule === undefined) {
      return 0;
    }
    const entry = to.samples[this.#when];
    const sets = (this.#sets[reach] ??= setsOfTargets(rule, this.#engine.program));
    if (sets.length === 0) {
      return this.#at(to, reach, rule);
    }
    let held = 0;
    for (let i = 0; i < sets.length; i++) {
      held |= entry.identity.sets.includes(sets[i] ?? -1) ? 1 << i : 0;
    }
    const known = (this.#bySets[reach] ??= new Map<number, AccessId>());
    const key = entry.node.ipv4 === null && entry.node.ipv6 === null ? 0 : held;
    let id = known.get(key);
    if (id === undefined) {
      id = this.#at(to, reach, rule);
      known.set(key, id);
    }
    return id;
  }

  #at(to: PairedGroup, reach: number, rule: Reach): AccessId {
    const ground = (this.#grounds[to.number] ??= new Ground(this.#engine, to.samples[this.#when]));
    const places = ground.places(rule);
    const known = (this.#byPlaces[reach] ??= new Map<string, AccessId>());
    const key = JSON.stringify(places);
    let id = known.get(key);
    if (id === undefined) {
      id = this.#book.id(accessAt(rule, places));
      known.set(key, id);
    }
    return id;
  }
}

/** The node sets of the targets, in order, where these alone decide what a rule opens on a node; else none. */
function setsOfTargets({ rule, self, via }: Reach, program: Program): readonly number[] {
  const units = rule.units.filter((unit) => unit.self === self);
  const targets = units.flatMap((unit) => (unit.kind === "ports" ? unit.targets.map(({ selector }) => selector) : []));
  const sets = targets.flatMap((each) =>
    each.kind === "nodes" ? [program.nodeSetIds.get(nodeSetKey(each.set)) ?? -1] : [],
  );
  const decide = units.every(({ kind }) => kind === "ports") && sets.length === targets.length;
  return decide && !self && via.length === 0 && sets.length <= 30 ? sets : [];
}

interface Opened {
  /** Destinations that the reach names, and what it opens on each. */
  readonly numbers: Int32Array;
  readonly accesses: Int32Array;
}

export class Rows {
  readonly #when: When;
  readonly #openings: Openings;
  readonly #book: AccessBook;
  readonly #named: (PairedGroup[] | undefined)[] = [];
  readonly #opened: (Opened | undefined)[] = [];

  constructor(destinations: readonly PairedGroup[], when: When, openings: Openings, book: AccessBook) {
    this.#when = when;
    this.#openings = openings;
    this.#book = book;
    for (const dst of destinations) {
      for (const reach of elements(dst[when])) {
        (this.#named[reach] ??= []).push(dst);
      }
    }
  }

  /** Puts what the source may do to each destination into the row. */
  fill(src: PairedGroup, row: Int32Array): void {
    row.fill(0);
    for (const reach of elements(src[this.#when])) {
      const { numbers, accesses } = this.#openedBy(reach);
      for (let i = 0; i < numbers.length; i++) {
        const dst = numbers[i] ?? 0;
        row[dst] = this.#book.union(row[dst] ?? 0, accesses[i] ?? 0);
      }
    }
  }

  #openedBy(reach: number): Opened {
    let opened = this.#opened[reach];
    if (opened === undefined) {
      const named = this.#named[reach] ?? [];
      opened = {
        numbers: Int32Array.from(named, ({ number }) => number),
        accesses: Int32Array.from(named, (dst) => this.#openings.on(dst, reach)),
      };
      this.#opened[reach] = opened;
    }
    return opened;
  }

  /** What the reaches that both sides have in common open, together, on this node. */
  static common(src: Bits, dst: Bits, to: PairedGroup, openings: Openings, book: AccessBook): AccessId {
    let access = 0;
    for (let i = 0; i < src.length; i++) {
      for (let word = (src[i] ?? 0) & (dst[i] ?? 0); word !== 0; word &= word - 1) {
        access = book.union(access, openings.on(to, i * 32 + 31 - Math.clz32(word & -word)));
      }
    }
    return access;
  }
}

/** Pairs of groups with a difference, gathered source by source: sources with equal rows are told together. */
export interface Merged<Difference> {
  readonly difference: Difference;
  readonly behind: boolean;
  readonly src: PairedGroup[];
  /** Numbers of the destinations, ascending. */
  readonly dst: readonly number[];
}

export class RowMerger<Difference extends { readonly id: number }> {
  readonly #byHash = new Map<number, Merged<Difference>[]>();
  /** The row at hand: by the difference's id, the destinations that have it. */
  readonly #lists: number[][] = [];
  readonly #inRow: Difference[] = [];

  /** The source of the row at hand has this difference towards the destination; in ascending order. */
  note(difference: Difference, dst: number): void {
    const list = (this.#lists[difference.id] ??= []);
    if (list.length === 0) {
      this.#inRow.push(difference);
    }
    list.push(dst);
  }

  endRow(src: PairedGroup): void {
    for (const difference of this.#inRow) {
      const dst = this.#lists[difference.id] ?? [];
      const found = this.#find(difference, src.behind, dst);
      if (found === undefined) {
        this.#add({ difference, behind: src.behind, src: [src], dst: dst.slice() });
      } else {
        found.src.push(src);
      }
      dst.length = 0;
    }
    this.#inRow.length = 0;
  }

  #find(difference: Difference, behind: boolean, dst: readonly number[]): Merged<Difference> | undefined {
    return this.#byHash
      .get(hash(difference.id, dst))
      ?.find((each) => each.difference === difference && each.behind === behind && sameNumbers(each.dst, dst));
  }

  #add(merged: Merged<Difference>): void {
    const key = hash(merged.difference.id, merged.dst);
    const found = this.#byHash.get(key);
    if (found === undefined) {
      this.#byHash.set(key, [merged]);
    } else {
      found.push(merged);
    }
  }

  *all(): Generator<Merged<Difference>> {
    for (const list of this.#byHash.values()) {
      yield* list;
    }
  }
}

function hash(difference: number, dst: readonly number[]): number {
  let sum = difference;
  for (let i = 0; i < dst.length; i++) {
    sum = Math.imul(sum ^ (dst[i] ?? 0), 0x01000193) ^ (sum >>> 15);
  }
  return sum;
}

function sameNumbers(x: readonly number[], y: readonly number[]): boolean {
  if (x.length !== y.length) {
    return false;
  }
  for (let i = 0; i < x.length; i++) {
    if (x[i] !== y[i]) {
      return false;
    }
  }
  return true;
}
