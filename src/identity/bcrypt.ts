// Checks a secret against a bcrypt hash, the form in which headscale stores keys. Hashes are only read, never made: our
// own keys are random and need no slow hash. Blowfish's tables are the first digits of pi, which are computed here
// (Provos and Mazières, "A Future-Adaptable Password Scheme", 1999).
import { timingSafeEqual } from "node:crypto";

const pattern = /^\$2[abxy]\$([0-9]{2})\$([./A-Za-z0-9]{22})([./A-Za-z0-9]{31})$/;
const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const rounds = 16;
const subkeys = rounds + 2;
const boxes = 4 * 256;
/** A cost that takes seconds is a mistake or an attack; headscale uses 10. */
const maxCost = 14;

/** Does this secret have this hash? False as well when the text is no bcrypt hash. Takes about a tenth of a second at cost 10. */
export function bcryptMatches(secret: string, hash: string): boolean {
  const match = pattern.exec(hash);
  const cost = Number(match?.[1]);
  if (match?.[2] === undefined || match[3] === undefined || cost < 4 || cost > maxCost) {
    return false;
  }
  // The key ends with a zero byte; only 72 bytes count.
  const key = wordsOf(Buffer.from(`${secret}\0`, "utf8"));
  const digest = digestOf(key, decode(match[2], 16), cost);
  return timingSafeEqual(digest, decode(match[3], 23));
}

function digestOf(key: Uint32Array, salt: Buffer, cost: number): Buffer {
  const cipher = new Blowfish();
  const saltWords = Uint32Array.from([0, 4, 8, 12], (at) => salt.readUInt32BE(at));
  const noSalt = new Uint32Array(4);
  const saltKey = Uint32Array.from({ length: subkeys }, (_, index) => saltWords[index % 4] ?? 0);
  cipher.expand(key, saltWords);
  for (let round = 2 ** cost; round > 0; round--) {
    cipher.expand(key, noSalt);
    cipher.expand(saltKey, noSalt);
  }
  const text = Buffer.from("OrpheanBeholderScryDoubt", "latin1");
  const out = Buffer.alloc(24);
  for (let at = 0; at < 24; at += 8) {
    let left = text.readUInt32BE(at);
    let right = text.readUInt32BE(at + 4);
    for (let time = 0; time < 64; time++) {
      cipher.encrypt(left, right);
      left = cipher.left;
      right = cipher.right;
    }
    out.writeUInt32BE(left, at);
    out.writeUInt32BE(right, at + 4);
  }
  return out.subarray(0, 23);
}

/** The key as the words that are laid over the subkeys, repeated as often as needed. */
function wordsOf(key: Buffer): Uint32Array {
  const words = new Uint32Array(subkeys);
  for (let index = 0; index < subkeys * 4; index++) {
    const word = index >> 2;
    words[word] = ((words[word] ?? 0) << 8) | (key[index % key.length] ?? 0);
  }
  return words;
}

/** bcrypt's own base64, `length` bytes of it. */
function decode(text: string, length: number): Buffer {
  let bits = 0n;
  for (const character of text) {
    bits = (bits << 6n) | BigInt(alphabet.indexOf(character));
  }
  const extra = BigInt(text.length * 6 - length * 8);
  return Buffer.from((bits >> extra).toString(16).padStart(length * 2, "0"), "hex");
}

class Blowfish {
  left = 0;
  right = 0;
  readonly #p: Int32Array;
  readonly #s: Int32Array;

  constructor() {
    const digits = piWords();
    this.#p = digits.slice(0, subkeys);
    this.#s = digits.slice(subkeys);
  }

  /** Encrypts one block into `left` and `right`. */
  encrypt(l: number, r: number): void {
    const p = this.#p;
    const s = this.#s;
    let left = l;
    let right = r;
    for (let round = 0; round < rounds; round += 2) {
      left ^= p[round] ?? 0;
      right ^= mix(s, left);
      right ^= p[round + 1] ?? 0;
      left ^= mix(s, right);
    }
    this.left = (right ^ (p[rounds + 1] ?? 0)) >>> 0;
    this.right = (left ^ (p[rounds] ?? 0)) >>> 0;
  }

  /** The expensive key schedule: both tables are encrypted over, with the salt mixed in. */
  expand(key: Uint32Array, salt: Uint32Array): void {
    const p = this.#p;
    for (let index = 0; index < subkeys; index++) {
      p[index] = (p[index] ?? 0) ^ (key[index] ?? 0);
    }
    this.left = 0;
    this.right = 0;
    let at = 0;
    for (const table of [p, this.#s]) {
      for (let index = 0; index < table.length; index += 2) {
        this.encrypt(this.left ^ (salt[at] ?? 0), this.right ^ (salt[at + 1] ?? 0));
        table[index] = this.left;
        table[index + 1] = this.right;
        at ^= 2;
      }
    }
  }
}

function mix(s: Int32Array, word: number): number {
  const sum = ((s[word >>> 24] ?? 0) + (s[256 + ((word >>> 16) & 0xff)] ?? 0)) | 0;
  return ((sum ^ (s[512 + ((word >>> 8) & 0xff)] ?? 0)) + (s[768 + (word & 0xff)] ?? 0)) | 0;
}

let knownPi: Int32Array | undefined;

/** The fraction of pi in 32-bit words, by Machin's formula: pi = 16 arctan(1/5) − 4 arctan(1/239). */
function piWords(): Int32Array {
  if (knownPi === undefined) {
    const count = subkeys + boxes;
    const guard = 64n;
    const one = 1n << (BigInt(count * 32) + guard);
    const pi = 16n * arctanOfInverse(5n, one) - 4n * arctanOfInverse(239n, one);
    const fraction = (pi - 3n * one) >> guard;
    const bytes = Buffer.from(fraction.toString(16).padStart(count * 8, "0"), "hex");
    knownPi = Int32Array.from({ length: count }, (_, index) => bytes.readInt32BE(index * 4));
  }
  return knownPi;
}

function arctanOfInverse(x: bigint, one: bigint): bigint {
  const square = x * x;
  let power = one / x;
  let sum = power;
  for (let n = 3n, sign = -1n; power > 0n; n += 2n, sign = -sign) {
    power /= square;
    sum += (sign * power) / n;
  }
  return sum;
}
