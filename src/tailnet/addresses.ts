// Which addresses nodes get (headscale §5.4, protocol §11.2). Finding one does not walk over those in use: the sequential
// order goes on where it stopped and takes freed addresses last; the random order tries a few times before it looks.
// Addresses are taken when a command is planned and given back when it is refused, so that two plans never share one.
import type { Addr, Prefix } from "../ip/index.ts";
import {
  addrAdd,
  addrKey,
  addrNext,
  addrToBigInt,
  compareAddr,
  parsePrefix,
  prefixContains,
  prefixFirst,
  prefixLast,
} from "../ip/index.ts";

/** Ranges that clients treat as their own or that mean something else (protocol §11.2): never given to a node. */
const reserved: readonly Prefix[] = [
  "100.100.0.0/24",
  "100.100.100.0/24",
  "100.101.102.103/32",
  "100.115.92.0/23",
  "fd7a:115c:a1e0::53/128",
  "fd7a:115c:a1e0:b1a::/64",
].map((text) => {
  const prefix = parsePrefix(text);
  if (prefix === undefined) {
    throw new Error(`not a prefix: ${text}`);
  }
  return prefix;
});

/** May a node have this address of this prefix? Not its network or broadcast address, nor a reserved one. */
export function isUsableAddress(addr: Addr, prefix: Prefix): boolean {
  const isSingle = compareAddr(prefixFirst(prefix), prefixLast(prefix)) === 0;
  const isEdge = compareAddr(addr, prefixFirst(prefix)) === 0 || compareAddr(addr, prefixLast(prefix)) === 0;
  return prefixContains(prefix, addr) && reservedAround(addr) === undefined && (isSingle || !isEdge);
}

function reservedAround(addr: Addr): Prefix | undefined {
  return reserved.find((prefix) => prefixContains(prefix, addr));
}

const randomTries = 32;

export class AddressTable {
  readonly #taken = new Set<number | string>();
  readonly #pools = new Map<string, Pool>();
  /** The same pools by the very objects that were asked with. */
  readonly #poolByPrefix = new WeakMap<Prefix, Pool>();
  readonly #order: "sequential" | "random";
  readonly #randomBytes: (count: number) => Uint8Array;

  constructor(order: "sequential" | "random", randomBytes: (count: number) => Uint8Array) {
    this.#order = order;
    this.#randomBytes = randomBytes;
  }

  has(addr: Addr): boolean {
    return this.#taken.has(addrKey(addr));
  }

  take(addr: Addr): void {
    this.#taken.add(addrKey(addr));
  }

  free(addr: Addr): void {
    if (this.#taken.delete(addrKey(addr))) {
      for (const pool of this.#pools.values()) {
        pool.freed(addr);
      }
    }
  }

  /** Takes a free address inside the prefix; undefined when there is none left. */
  allocate(prefix: Prefix): Addr | undefined {
    const pool = this.#poolOf(prefix);
    const isFree = (addr: Addr): boolean => !this.#taken.has(addrKey(addr));
    const addr =
      (this.#order === "random" ? pool.randomFree(isFree, this.#randomBytes) : undefined) ?? pool.nextFree(isFree);
    if (addr !== undefined) {
      this.take(addr);
    }
    return addr;
  }

  #poolOf(prefix: Prefix): Pool {
    let pool = this.#poolByPrefix.get(prefix);
    if (pool === undefined) {
      const key = `${prefix.bits}/${addrKey(prefixFirst(prefix))}`;
      pool = this.#pools.get(key) ?? new Pool(prefix);
      this.#pools.set(key, pool);
      this.#poolByPrefix.set(prefix, pool);
    }
    return pool;
  }
}

/** Freed addresses that a pool remembers; with machines that come and go for years there is no end to them. */
const mostReturned = 4096;

/** One prefix that addresses are drawn from. */
class Pool {
  readonly #prefix: Prefix;
  readonly #first: Addr;
  readonly #last: Addr;
  /** Every address below is in use, reserved, in #returned or #forgotten; undefined at the end. */
  #cursor: Addr | undefined;
  /** Freed below the cursor; may hold addresses that were taken again elsewhere. */
  readonly #returned = new Map<number | string, Addr>();
  /** More were freed below the cursor than are remembered. */
  #forgotten = false;

  constructor(prefix: Prefix) {
    this.#prefix = prefix;
    this.#first = prefixFirst(prefix);
    this.#last = prefixLast(prefix);
    this.#cursor = this.#first;
  }

  freed(addr: Addr): void {
    const passed = this.#cursor === undefined || compareAddr(addr, this.#cursor) < 0;
    if (!passed || !prefixContains(this.#prefix, addr)) {
      return;
    }
    if (this.#returned.size < mostReturned) {
      this.#returned.set(addrKey(addr), addr);
    } else {
      this.#forgotten = true;
    }
  }

  nextFree(isFree: (addr: Addr) => boolean): Addr | undefined {
    while (this.#cursor !== undefined) {
      const addr = this.#cursor;
      const around = reservedAround(addr);
      this.#advance(around === undefined ? addr : prefixLast(around));
      if (around === undefined && !this.#isEdge(addr) && isFree(addr)) {
        return addr;
      }
    }
    for (const [key, addr] of this.#returned) {
      this.#returned.delete(key);
      if (this.#usable(addr) && isFree(addr)) {
        return addr;
      }
    }
    if (this.#forgotten) {
      // Once more from the bottom: what was freed and not remembered is found by looking.
      this.#forgotten = false;
      this.#cursor = this.#first;
      return this.nextFree(isFree);
    }
    return undefined;
  }

  randomFree(isFree: (addr: Addr) => boolean, randomBytes: (count: number) => Uint8Array): Addr | undefined {
    const size = addrToBigInt(this.#last) - addrToBigInt(this.#first) + 1n;
    for (let tries = 0; tries < randomTries; tries++) {
      let offset = 0n;
      for (const byte of randomBytes(16)) {
        offset = (offset << 8n) | BigInt(byte);
      }
      const addr = addrAdd(this.#first, offset % size);
      if (addr !== undefined && this.#usable(addr) && isFree(addr)) {
        return addr;
      }
    }
    return undefined;
  }

  /** Neither reserved nor the first or last of the prefix (network and broadcast). */
  #usable(addr: Addr): boolean {
    return !this.#isEdge(addr) && reservedAround(addr) === undefined;
  }

  #isEdge(addr: Addr): boolean {
    return compareAddr(addr, this.#first) === 0 || compareAddr(addr, this.#last) === 0;
  }

  #advance(past: Addr): void {
    const next = addrNext(past);
    this.#cursor = next === undefined || compareAddr(next, this.#last) > 0 ? undefined : next;
  }
}
