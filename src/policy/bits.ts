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
export function* elements(bits: Bits): Generator<number> {
  for (let i = 0; i < bits.length; i++) {
    for (let word = bits[i] ?? 0; word !== 0; word &= word - 1) {
      yield i * 32 + 31 - Math.clz32(word & -word);
    }
  }
}

/** Equal exactly for equal sets of the same kind. */
export function bitsKey(bits: Bits): string {
  return String.fromCharCode(...new Uint16Array(bits.buffer, bits.byteOffset, bits.length * 2));
}
