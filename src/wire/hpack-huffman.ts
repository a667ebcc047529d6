// The Huffman code of HPACK (RFC 7541, appendix B). It is canonical: codes of equal length follow one another in the
// order of their symbols, so that the lengths alone are the whole table.

/** Bits of the code of each byte, then of the end mark. */
const lengthsText =
  "13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28 " +
  "6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6 5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10 " +
  "13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6 " +
  "15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28 " +
  "20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24 " +
  "22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23 " +
  "26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27 " +
  "20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26 " +
  "30";
const lengths: readonly number[] = lengthsText.split(" ").map(Number);
const endMark = 256;
const shortest = 5;
const longest = 30;

interface CodesOfLength {
  readonly first: number;
  readonly symbols: readonly number[];
}

/** For each length: its first code and its symbols in order of their codes. */
const codes: readonly CodesOfLength[] = canonicalCodes();

function canonicalCodes(): CodesOfLength[] {
  const table: CodesOfLength[] = [];
  let next = 0;
  for (let length = 0; length <= longest; length++) {
    const symbols = lengths.flatMap((of, symbol) => (of === length ? [symbol] : []));
    table.push({ first: next, symbols });
    next = (next + symbols.length) * 2;
  }
  return table;
}

/** Decodes a Huffman-coded string to latin1 text; undefined when the coding is broken (RFC 7541 §5.2). */
export function decodeHuffman(bytes: Uint8Array): string | undefined {
  // At most one character in five bits.
  const out = Buffer.allocUnsafe(Math.floor((bytes.length * 8) / shortest));
  let count = 0;
  let code = 0;
  let length = 0;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      code = (code << 1) | ((byte >> bit) & 1);
      length++;
      const { first, symbols } = codes[length] ?? { first: 0, symbols: [] };
      const symbol = symbols[code - first];
      if (symbol === endMark) {
        return undefined;
      }
      if (symbol !== undefined) {
        out[count++] = symbol;
        code = 0;
        length = 0;
      } else if (length === longest) {
        return undefined;
      }
    }
  }
  // What is left is padding: fewer than eight bits, all ones.
  const padded = length < 8 && code === (1 << length) - 1;
  return padded ? out.toString("latin1", 0, count) : undefined;
}
