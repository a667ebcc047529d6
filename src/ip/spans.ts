// The arithmetic under IpSet: sorted, disjoint, non-adjacent spans of one family in one Uint32Array. A number takes
// `width` words (1: IPv4, 4: IPv6), most significant first; a span is its first and its last number, 2 × width words.
// Everything here is linear in the number of spans.

export type Width = 1 | 4;
/** Spans of one family; never changed once made. */
export type Spans = Uint32Array;

export const noSpans: Spans = new Uint32Array(0);

/** Compares the numbers at word `i` of `x` and word `j` of `y`. */
function compareAt(x: Spans, i: number, y: Spans, j: number, width: Width): number {
  for (let k = 0; k < width; k++) {
    const p = x[i + k] ?? 0;
    const q = y[j + k] ?? 0;
    if (p !== q) {
      return p < q ? -1 : 1;
    }
  }
  return 0;
}

// A loop: for so few words it is many times cheaper than set() of a subarray().
function copyWords(from: Spans, i: number, to: Spans, j: number, count: number): void {
  for (let k = 0; k < count; k++) {
    to[j + k] = from[i + k] ?? 0;
  }
}

/** Adds 1 (or -1) to the number at word `i`; false when it wrapped around. */
function step(x: Spans, i: number, width: Width, by: 1 | -1): boolean {
  const wrapped = by === 1 ? 0 : 0xffffffff;
  for (let k = i + width - 1; k >= i; k--) {
    const next = ((x[k] ?? 0) + by) >>> 0;
    x[k] = next;
    if (next !== wrapped) {
      return true;
    }
  }
  return false;
}

/** Is the number at word `j` of `y` at most one above the number at word `i` of `x`? */
function touches(x: Spans, i: number, y: Spans, j: number, width: Width): boolean {
  if (compareAt(y, j, x, i, width) <= 0) {
    return true;
  }
  let carry = 1;
  for (let k = width - 1; k >= 0; k--) {
    const sum = (x[i + k] ?? 0) + carry;
    if (y[j + k] !== sum >>> 0) {
      return false;
    }
    carry = sum > 0xffffffff ? 1 : 0;
  }
  return carry === 0;
}

/** Collects spans in ascending order of their first numbers and joins those that overlap or touch. */
class Joiner {
  readonly #out: Spans;
  readonly #width: Width;
  #end = 0;

  constructor(words: number, width: Width) {
    this.#out = new Uint32Array(words);
    this.#width = width;
  }

  add(x: Spans, i: number): void {
    const width = this.#width;
    const out = this.#out;
    const lastTo = this.#end - width;
    if (this.#end > 0 && touches(out, lastTo, x, i, width)) {
      if (compareAt(x, i + width, out, lastTo, width) > 0) {
        copyWords(x, i + width, out, lastTo, width);
      }
      return;
    }
    copyWords(x, i, out, this.#end, 2 * width);
    this.#end += 2 * width;
  }

  spans(): Spans {
    return this.#end === 0 ? noSpans : this.#end === this.#out.length ? this.#out : this.#out.slice(0, this.#end);
  }
}

/** Spans in any order, overlapping at will, as sorted and joined ones. */
export function normalSpans(words: readonly number[], width: Width): Spans {
  if (words.length === 0) {
    return noSpans;
  }
  const raw = Uint32Array.from(words);
  const size = 2 * width;
  if (raw.length === size) {
    return raw;
  }
  const starts = Array.from({ length: raw.length / size }, (_, index) => index * size);
  starts.sort((i, j) => compareAt(raw, i, raw, j, width));
  const joiner = new Joiner(raw.length, width);
  for (const start of starts) {
    joiner.add(raw, start);
  }
  return joiner.spans();
}

export function unionSpans(x: Spans, y: Spans, width: Width): Spans {
  if (x.length === 0 || x === y) {
    return y;
  }
  if (y.length === 0) {
    return x;
  }
  const size = 2 * width;
  const joiner = new Joiner(x.length + y.length, width);
  let i = 0;
  let j = 0;
  while (i < x.length || j < y.length) {
    if (j === y.length || (i < x.length && compareAt(x, i, y, j, width) <= 0)) {
      joiner.add(x, i);
      i += size;
    } else {
      joiner.add(y, j);
      j += size;
    }
  }
  return joiner.spans();
}

export function intersectSpans(x: Spans, y: Spans, width: Width): Spans {
  if (x.length === 0 || y.length === 0) {
    return noSpans;
  }
  if (x === y) {
    return x;
  }
  const size = 2 * width;
  // Each step ends one span of x or y, so there are fewer results than spans of both.
  const out = new Uint32Array(x.length + y.length);
  let end = 0;
  let i = 0;
  let j = 0;
  while (i < x.length && j < y.length) {
    const order = compareAt(x, i + width, y, j + width, width);
    if (compareAt(x, i, y, j + width, width) <= 0 && compareAt(y, j, x, i + width, width) <= 0) {
      const later = compareAt(x, i, y, j, width) >= 0;
      copyWords(later ? x : y, later ? i : j, out, end, width);
      copyWords(order <= 0 ? x : y, (order <= 0 ? i : j) + width, out, end + width, width);
      end += size;
    }
    if (order <= 0) {
      i += size;
    }
    if (order >= 0) {
      j += size;
    }
  }
  return end === 0 ? noSpans : out.slice(0, end);
}

/** Everything of the family that is not in `x`. */
function complementSpans(x: Spans, width: Width): Spans {
  const size = 2 * width;
  const out = new Uint32Array(x.length + size);
  // out[0 … width) is 0 already: the first gap begins at the family's first number.
  let end = 0;
  let open = true;
  for (let i = 0; i < x.length; i += size) {
    copyWords(x, i, out, end + width, width);
    const room = step(out, end + width, width, -1);
    if (room && compareAt(out, end, out, end + width, width) <= 0) {
      end += size;
    }
    copyWords(x, i + width, out, end, width);
    open = step(out, end, width, 1);
  }
  if (open) {
    out.fill(0xffffffff, end + width, end + size);
    end += size;
  }
  return end === 0 ? noSpans : out.slice(0, end);
}

export function subtractSpans(x: Spans, y: Spans, width: Width): Spans {
  if (x.length === 0 || y.length === 0) {
    return x;
  }
  return x === y ? noSpans : intersectSpans(x, complementSpans(y, width), width);
}

export function equalSpans(x: Spans, y: Spans): boolean {
  return x === y || (x.length === y.length && x.every((word, index) => word === y[index]));
}

/** The word where the first span begins whose last number is not below `a` (b, c, d); the array's length if none. */
export function spanAtOrAfter(x: Spans, width: Width, a: number, b: number, c: number, d: number): number {
  const size = 2 * width;
  let low = 0;
  let high = x.length / size;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBelow(x, middle * size + width, width, a, b, c, d)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low * size;
}

/** Is the number at word `i` below a (b, c, d)? */
function isBelow(x: Spans, i: number, width: Width, a: number, b: number, c: number, d: number): boolean {
  const first = x[i] ?? 0;
  if (first !== a || width === 1) {
    return first < a;
  }
  const second = x[i + 1] ?? 0;
  if (second !== b) {
    return second < b;
  }
  const third = x[i + 2] ?? 0;
  return third === c ? (x[i + 3] ?? 0) < d : third < c;
}

/** Is the number at word `i` at most a (b, c, d)? */
export function isAtMost(x: Spans, i: number, width: Width, a: number, b: number, c: number, d: number): boolean {
  return (
    isBelow(x, i, width, a, b, c, d) ||
    (x[i] === a && (width === 1 || (x[i + 1] === b && x[i + 2] === c && x[i + 3] === d)))
  );
}

/** How many numbers the spans hold. */
export function countSpans(x: Spans, width: Width): bigint {
  let count = 0n;
  for (let i = 0; i < x.length; i += 2 * width) {
    count += bigAt(x, i + width, width) - bigAt(x, i, width) + 1n;
  }
  return count;
}

function bigAt(x: Spans, i: number, width: Width): bigint {
  let value = 0n;
  for (let k = 0; k < width; k++) {
    value = (value << 32n) | BigInt(x[i + k] ?? 0);
  }
  return value;
}
