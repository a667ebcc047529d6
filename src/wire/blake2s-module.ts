// The compression function of BLAKE2s (RFC 7693 §3.2) as a WebAssembly module, put together here: ten rounds unrolled
// over sixteen locals, so nothing in it branches or looks anything up by what it hashes.

/** RFC 7693 §2.6: the first 32 bits of the fractional parts of the square roots of the first eight primes. */
export const blake2sInitial: readonly number[] = [
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/** RFC 7693 §2.7: the order in which each round takes the message's words. */
const schedule: readonly (readonly number[])[] = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

/** RFC 7693 §3.1: which words of the work vector each of a round's eight mixings takes, columns then diagonals. */
const mixings: readonly (readonly [a: number, b: number, c: number, d: number])[] = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
];

// Opcodes (WebAssembly core specification, §5.4).
const op = {
  end: 0x0b,
  localGet: 0x20,
  localSet: 0x21,
  load: 0x28,
  store: 0x36,
  constant: 0x41,
  add: 0x6a,
  xor: 0x73,
  rotateRight: 0x78,
} as const;
const i32 = 0x7f;
/** Magic and version. */
const header: readonly number[] = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

/** The function's parameters, then the work vector v[0..15]. */
const parameter = { state: 0, block: 1, count: 2, last: 3 } as const;
const firstWord = 4;

export interface Blake2sModule {
  /** One page, 64 KB, zero at first. */
  readonly memory: WebAssembly.Memory;
  /**
   * Mixes the block at one place into the state at another, both little-endian words; `count` is the number of bytes
   * hashed with this block, below 2^32, `last` is -1 with the last block and else 0.
   */
  readonly compress: (state: number, block: number, count: number, last: number) => void;
}

export function blake2sModule(): Blake2sModule {
  const { memory, compress } = new WebAssembly.Instance(new WebAssembly.Module(moduleBytes())).exports;
  if (!(memory instanceof WebAssembly.Memory) || typeof compress !== "function") {
    throw new Error("the BLAKE2s module lacks its exports");
  }
  return { memory, compress: (state, block, count, last) => void compress(state, block, count, last) };
}

function moduleBytes(): Uint8Array<ArrayBuffer> {
  const word = (index: number): number => firstWord + index;
  const code: number[] = [];
  const get = (local: number): void => void code.push(op.localGet, local);
  const set = (local: number): void => void code.push(op.localSet, local);
  const constant = (value: number): void => void code.push(op.constant, ...signed(value | 0));
  const load = (base: number, index: number): void => {
    get(base);
    code.push(op.load, 2, ...unsigned(4 * index));
  };

  for (let index = 0; index < 8; index++) {
    load(parameter.state, index);
    set(word(index));
    constant(blake2sInitial[index] ?? 0);
    const further = { 4: parameter.count, 6: parameter.last }[index];
    if (further !== undefined) {
      get(further);
      code.push(op.xor);
    }
    set(word(8 + index));
  }

  const addTo = (target: number, other: number, messageWord: number): void => {
    get(target);
    get(other);
    code.push(op.add);
    load(parameter.block, messageWord);
    code.push(op.add);
    set(target);
  };
  const xorAndRotate = (target: number, other: number, bits: number): void => {
    get(target);
    get(other);
    code.push(op.xor);
    constant(bits);
    code.push(op.rotateRight);
    set(target);
  };
  const addUp = (target: number, other: number): void => {
    get(target);
    get(other);
    code.push(op.add);
    set(target);
  };
  for (const order of schedule) {
    mixings.forEach((words, index) => {
      const [a, b, c, d] = words.map(word) as [number, number, number, number];
      addTo(a, b, order[2 * index] ?? 0);
      xorAndRotate(d, a, 16);
      addUp(c, d);
      xorAndRotate(b, c, 12);
      addTo(a, b, order[2 * index + 1] ?? 0);
      xorAndRotate(d, a, 8);
      addUp(c, d);
      xorAndRotate(b, c, 7);
    });
  }

  for (let index = 0; index < 8; index++) {
    get(parameter.state);
    load(parameter.state, index);
    get(word(index));
    code.push(op.xor);
    get(word(8 + index));
    code.push(op.xor, op.store, 2, ...unsigned(4 * index));
  }
  code.push(op.end);

  const body = [1, ...unsigned(16), i32, ...code];
  const name = (text: string): readonly number[] => [text.length, ...Buffer.from(text, "latin1")];
  return Uint8Array.from([
    ...header,
    ...section(1, [1, 0x60, 4, i32, i32, i32, i32, 0]), // one type: four words to nothing
    ...section(3, [1, 0]), // one function of that type
    ...section(5, [1, 1, 1, 1]), // one memory, one page and no more
    ...section(7, [2, ...name("memory"), 2, 0, ...name("compress"), 0, 0]),
    ...section(10, [1, ...unsigned(body.length), ...body]),
  ]);
}

function section(id: number, content: readonly number[]): readonly number[] {
  return [id, ...unsigned(content.length), ...content];
}

/** LEB128. */
function unsigned(value: number): readonly number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

/** LEB128 of a 32-bit integer with its sign. */
function signed(value: number): readonly number[] {
  return value >= -64 && value < 64 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}
