// The addresses of many nodes, sorted, kept up to date one by one, and their text as packet filters write it: adjacent
// addresses as one range. Texts are made when asked for and kept until something changes.
import {
  addrNext,
  compareAddr,
  equalAddr,
  formatAddr,
  formatRange,
  IpSet,
  type Addr,
  type AddrRange,
} from "../ip/index.ts";

const texts = new WeakMap<Addr, string>();

/** The text of a node's address; nodes keep their address objects, so each is made once. */
export function addressText(addr: Addr): string {
  let text = texts.get(addr);
  if (text === undefined) {
    text = formatAddr(addr);
    texts.set(addr, text);
  }
  return text;
}

/** More addresses than this are folded into ranges. */
const longList = 64;

const hidden = "";

function isShown(text: string): boolean {
  return text !== hidden;
}

function hiddenAmong(texts: readonly string[]): number {
  return texts.reduce((count, text) => count + (isShown(text) ? 0 : 1), 0);
}

/** Runs of neighbouring addresses with their texts, side by side; "": what is written out besides says it already. */
class Runs {
  readonly ranges: AddrRange[];
  readonly #texts: string[];
  #hidden = 0;

  constructor() {
    this.ranges = [];
    this.#texts = [];
  }

  /** Puts runs in the place of others. */
  replace(start: number, count: number, ranges: readonly AddrRange[], texts: readonly string[]): void {
    this.ranges.splice(start, count, ...ranges);
    const gone = this.#texts.splice(start, count, ...texts);
    this.#hidden += hiddenAmong(texts) - hiddenAmong(gone);
  }

  push(range: AddrRange, text: string): void {
    this.ranges.push(range);
    this.#texts.push(text);
    this.#hidden += text === hidden ? 1 : 0;
  }

  /** A copy, mostly of one piece: there may be tens of thousands. */
  shown(): string[] {
    return this.#hidden === 0 ? this.#texts.slice() : this.#texts.filter(isShown);
  }
}

export class AddressList {
  /** Sorted; two nodes that share an address stand here twice. */
  readonly #sorted: Addr[];
  /** Addresses that are written out besides. */
  readonly #more: IpSet;
  readonly #moreTexts: readonly string[];
  /** Of a long list: what it reads as, kept up to date address by address. */
  #runs: Runs | undefined;

  constructor(addresses: readonly Addr[], more: IpSet = IpSet.empty) {
    this.#sorted = addresses.toSorted(compareAddr);
    this.#more = more;
    this.#moreTexts = more.ranges().map(formatRange);
  }

  add(addr: Addr): void {
    const place = this.#place(addr);
    const known = this.#holds(place, addr);
    this.#sorted.splice(place, 0, addr);
    if (this.#runs !== undefined && !known) {
      this.#join(this.#runs, addr);
    }
  }

  remove(addr: Addr): void {
    const place = this.#place(addr);
    if (!this.#holds(place, addr)) {
      return;
    }
    this.#sorted.splice(place, 1);
    if (this.#sorted.length <= longList) {
      this.#runs = undefined;
    } else if (this.#runs !== undefined && !this.#holds(place, addr)) {
      this.#split(this.#runs, addr, this.#sorted[place - 1], this.#sorted[place]);
    }
  }

  #holds(place: number, addr: Addr): boolean {
    const found = this.#sorted[place];
    return found !== undefined && equalAddr(found, addr);
  }

  /** Where the address stands or would stand. */
  #place(addr: Addr): number {
    return firstAtOrAfter(this.#sorted, addr, (found) => found);
  }

  /** The address is new: a run of its own, or part of those beside it. */
  #join(runs: Runs, addr: Addr): void {
    const { ranges } = runs;
    const at = firstAtOrAfter(ranges, addr, ({ to }) => to);
    const [left, right] = [ranges[at - 1], ranges[at]];
    const joinsLeft = left !== undefined && follows(left.to, addr);
    const joinsRight = right !== undefined && follows(addr, right.from);
    const run = { from: joinsLeft ? left.from : addr, to: joinsRight ? right.to : addr };
    runs.replace(joinsLeft ? at - 1 : at, Number(joinsLeft) + Number(joinsRight), [run], [this.#textOf(run)]);
  }

  /** The address is gone from its run, where it stood between these two. */
  #split(runs: Runs, addr: Addr, before: Addr | undefined, after: Addr | undefined): void {
    const at = firstAtOrAfter(runs.ranges, addr, ({ to }) => to);
    const run = runs.ranges[at];
    if (run === undefined) {
      return;
    }
    const left = before !== undefined && compareAddr(run.from, addr) < 0 ? [{ from: run.from, to: before }] : [];
    const right = after !== undefined && compareAddr(addr, run.to) < 0 ? [{ from: after, to: run.to }] : [];
    const rest = [...left, ...right];
    runs.replace(
      at,
      1,
      rest,
      rest.map((each) => this.#textOf(each)),
    );
  }

  #textOf(range: AddrRange): string {
    if (!this.#more.isEmpty && this.#more.coversRange(range)) {
      return hidden;
    }
    return equalAddr(range.from, range.to) ? addressText(range.from) : formatRange(range);
  }

  /**
   * The union of all addresses as texts, in ascending order, those that are written out behind. A short list names its
   * addresses one by one, as Tailscale's filters do; a long one folds neighbours into ranges, or filters would grow with
   * the tailnet.
   */
  texts(): readonly string[] {
    if (this.#sorted.length > longList) {
      this.#runs ??= this.#fold();
      return this.#runs.shown().concat(this.#moreTexts);
    }
    const singles = this.#sorted.filter((addr, at) => {
      const last = this.#sorted[at - 1];
      return last === undefined || !equalAddr(addr, last);
    });
    const own = singles.map((addr) => this.#textOf({ from: addr, to: addr })).filter(isShown);
    return [...own, ...this.#moreTexts];
  }

  #fold(): Runs {
    const runs = new Runs();
    for (const range of rangesOf(this.#sorted)) {
      runs.push(range, this.#textOf(range));
    }
    return runs;
  }
}

/** Index of the first of the ascending items whose address is not before this one. */
function firstAtOrAfter<Item>(items: readonly Item[], addr: Addr, addressOf: (item: Item) => Addr): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const found = items[middle];
    if (found !== undefined && compareAddr(addressOf(found), addr) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

function* rangesOf(sorted: readonly Addr[]): Generator<AddrRange> {
  let from: Addr | undefined;
  let to: Addr | undefined;
  for (const addr of sorted) {
    if (from !== undefined && to !== undefined) {
      if (equalAddr(addr, to)) {
        continue;
      }
      if (follows(to, addr)) {
        to = addr;
        continue;
      }
      yield { from, to };
    }
    from = addr;
    to = addr;
  }
  if (from !== undefined && to !== undefined) {
    yield { from, to };
  }
}

/** Is y the address after x? */
function follows(x: Addr, y: Addr): boolean {
  if (x.family === 4 || y.family === 4) {
    return x.family === y.family && y.a === x.a + 1;
  }
  if (y.d !== 0) {
    return y.d === x.d + 1 && y.c === x.c && y.b === x.b && y.a === x.a;
  }
  const next = addrNext(x);
  return next !== undefined && equalAddr(next, y);
}
