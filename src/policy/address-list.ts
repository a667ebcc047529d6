// The addresses of many nodes, sorted, kept up to date one by one, and their text as packet filters write it: adjacent
// addresses as one range. Texts are made when asked for and kept until something changes.
import {
  addrNext,
  compareAddr,
  equalAddr,
  formatAddr,
  formatRange,
  type Addr,
  type AddrRange,
  type IpSet,
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

export class AddressList {
  /** Sorted; two nodes that share an address stand here twice. */
  readonly #sorted: Addr[];

  constructor(addresses: readonly Addr[]) {
    this.#sorted = addresses.toSorted(compareAddr);
  }

  add(addr: Addr): void {
    this.#sorted.splice(this.#place(addr), 0, addr);
  }

  remove(addr: Addr): void {
    const place = this.#place(addr);
    const found = this.#sorted[place];
    if (found !== undefined && equalAddr(found, addr)) {
      this.#sorted.splice(place, 1);
    }
  }

  /** Where the address stands or would stand. */
  #place(addr: Addr): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const found = this.#sorted[middle];
      if (found !== undefined && compareAddr(found, addr) < 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /**
   * The union with other addresses as texts, in ascending order. A short list names its addresses one by one, as
   * Tailscale's filters do; a long one folds neighbours into ranges, or filters would grow with the tailnet.
   */
  textsWith(more: IpSet): string[] {
    const fold = this.#sorted.length > longList;
    const own: string[] = [];
    for (const range of fold ? rangesOf(this.#sorted) : singles(this.#sorted)) {
      if (more.isEmpty || !more.coversRange(range)) {
        own.push(range.from === range.to ? addressText(range.from) : formatRange(range));
      }
    }
    return more.isEmpty ? own : [...own, ...more.ranges().map(formatRange)];
  }
}

/** More addresses than this are folded into ranges. */
const longList = 64;

function* singles(sorted: readonly Addr[]): Generator<AddrRange> {
  let last: Addr | undefined;
  for (const addr of sorted) {
    if (last === undefined || !equalAddr(addr, last)) {
      yield { from: addr, to: addr };
    }
    last = addr;
  }
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
