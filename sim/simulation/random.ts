// Randomness that replays from its seed (a 32-bit mixing generator; quality enough to choose what happens next).

export interface Random {
  /** 0 ≤ x < 1. */
  next(): number;
  /** A whole number from 0 to below `limit`. */
  below(limit: number): number;
  chance(probability: number): boolean;
  /** Undefined for an empty list. */
  pick<Value>(values: readonly Value[]): Value | undefined;
  bytes(count: number): Uint8Array;
}

export function seeded(seed: number): Random {
  let state = seed >>> 0;
  const word = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  const next = (): number => word() / 2 ** 32;
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    pick: (values) => values[below(values.length)],
    bytes: (count) => Uint8Array.from({ length: count }, () => word() & 255),
  };
}
