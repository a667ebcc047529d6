// Which values belong to the prefixes that hold an address: one lookup per distinct prefix length, however many prefixes.
import { addrKey, maskPrefix, prefixContains, prefixOverlaps, type Addr, type Prefix } from "../ip/index.ts";

interface Length {
  readonly family: 4 | 6;
  readonly bits: number;
  readonly byBase: Map<number | string, PrefixEntry>;
}
interface PrefixEntry {
  readonly prefix: Prefix;
  readonly values: number[];
}

export class PrefixIndex {
  readonly #lengths: Length[] = [];
  readonly #entries: PrefixEntry[] = [];

  add(given: Prefix, value: number): void {
    const prefix = maskPrefix(given);
    const { family } = prefix.addr;
    let length = this.#lengths.find((each) => each.family === family && each.bits === prefix.bits);
    if (length === undefined) {
      length = { family, bits: prefix.bits, byBase: new Map() };
      this.#lengths.push(length);
    }
    const key = addrKey(prefix.addr);
    let entry = length.byBase.get(key);
    if (entry === undefined) {
      entry = { prefix, values: [] };
      length.byBase.set(key, entry);
      this.#entries.push(entry);
    }
    if (entry.values.at(-1) !== value) {
      entry.values.push(value);
    }
  }

  /** Calls back for every value of a prefix that holds the address; the same value may come more than once. */
  forAddress(addr: Addr, each: (value: number) => void): void {
    for (const length of this.#lengths) {
      if (length.family !== addr.family) {
        continue;
      }
      const base = maskPrefix({ addr, bits: length.bits }).addr;
      const entry = length.byBase.get(addrKey(base));
      if (entry !== undefined && prefixContains(entry.prefix, addr)) {
        entry.values.forEach(each);
      }
    }
  }

  /** For every value of a prefix that has an address in common with this one. */
  forOverlaps(prefix: Prefix, each: (value: number) => void): void {
    for (const entry of this.#entries) {
      if (prefixOverlaps(entry.prefix, prefix)) {
        entry.values.forEach(each);
      }
    }
  }
}
