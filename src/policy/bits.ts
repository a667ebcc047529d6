// Sets of small numbers (rules, sources) as words of 32 bits. All sets of one kind have the same number of words.

export type Bits = Uint32Array;

export function emptyBits(size: number): Bits {
  return new Uint32Array((size + 31) >>> 5);
}

export function setBit(bits: Bits, index: number): void {
  bits[index >>> 5] = (bits[index >>> 5] ?? 0) | (1 << (index & 31));
}

export function hasBit(bits: Bits, index: number): boolean {
  return ((bits[index >>> 5] ?? 0) & (1 << (index & 31))) !== 0;
}

export function intersects(x: Bits, y: Bits): boolean {
  for (let i = 0; i < x.length; i++) {
    if (((x[i] ?? 0) & (y[i] ?? 0)) !== 0) {
      return true;
    }
  }
  return false;
}

/** The elements, ascending. */
export function elements(bits: Bits): readonly number[] {
  const found: number[] = [];
  for (let i = 0; i < bits.length; i++) {
    for (let word = bits[i] ?? 0; word !== 0; word &= word - 1) {
      found.push(i * 32 + 31 - Math.clz32(word & -word));
    }
  }
  return found;
}

/**
 * Equal exactly for equal sets of the same kind, also where keys are put one behind the other: three characters for each
 * word that is not empty, and one that is no word's number. Most sets are small.
 */
export function bitsKey(bits: Bits): string {
  const codes: number[] = [];
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i] ?? 0;
    if (word !== 0) {
      codes.push(i, word & 0xffff, word >>> 16);
    }
  }
  codes.push(0xffff);
  return codes.length < 1000 ? String.fromCharCode(...codes) : codes.map((code) => String.fromCharCode(code)).join("");
}
