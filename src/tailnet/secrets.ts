// Secrets that open doors: pre-auth keys and API keys (headscale §3.3, §7.2). Only hashes are kept; the 12-character
// prefix finds the row and the rest is compared in constant time.
import type { SecretTools } from "./options.ts";
import type { StoredSecret } from "./store.ts";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
export const prefixLength = 12;
const secretLength = 64;
/** Longer than any key of any version; keeps strangers from having megabytes hashed. */
const maxSecretText = 512;

export type SecretFamily = "auth" | "api";

export interface NewSecret {
  readonly prefix: string;
  readonly stored: StoredSecret;
  /** The whole key, for the person who asked; shown once. */
  readonly text: string;
}

export function newSecret(family: SecretFamily, tools: SecretTools): NewSecret {
  const prefix = randomText(prefixLength, tools);
  const secret = randomText(secretLength, tools);
  return {
    prefix,
    stored: { algorithm: "sha256", hash: tools.sha256(secret) },
    text: `hskey-${family}-${prefix}-${secret}`,
  };
}

/** Text of the URL-safe base64 alphabet, six random bits a character. */
function randomText(length: number, tools: SecretTools): string {
  let text = "";
  for (const byte of tools.randomBytes(length)) {
    text += alphabet[byte & 63] ?? "";
  }
  return text;
}

export interface SplitSecret {
  readonly prefix: string;
  readonly secret: string;
}

/** Parts of `hskey-<family>-<12>-<64>`, cut by length because the alphabet holds `-`; undefined for another form. */
export function splitSecret(family: SecretFamily, text: string): SplitSecret | undefined {
  const head = `hskey-${family}-`;
  const expected = head.length + prefixLength + 1 + secretLength;
  if (text.length !== expected || !text.startsWith(head) || text[head.length + prefixLength] !== "-") {
    return undefined;
  }
  return {
    prefix: text.slice(head.length, head.length + prefixLength),
    secret: text.slice(head.length + prefixLength + 1),
  };
}

/** Parts of headscale's older API keys, `<prefix>.<secret>`; the prefix had several lengths over the years. */
export function splitLegacyApiKey(text: string): SplitSecret | undefined {
  const dot = text.indexOf(".");
  return dot < 1 || dot === text.length - 1 || text.length > maxSecretText
    ? undefined
    : { prefix: text.slice(0, dot), secret: text.slice(dot + 1) };
}

export function isSaneSecretText(text: string): boolean {
  return text.length > 0 && text.length <= maxSecretText;
}

/** Compares two texts of one length without stopping at the first difference. */
export function equalInConstantTime(left: string, right: string): boolean {
  if (left.length !== right.length) {
    return false;
  }
  let difference = 0;
  for (let i = 0; i < left.length; i++) {
    difference |= left.charCodeAt(i) ^ right.charCodeAt(i);
  }
  return difference === 0;
}

/**
 * Checks secrets against stored hashes. A bcrypt hash costs tens of milliseconds of the one thread there is, so wrong
 * guesses at imported keys are remembered and rationed: a repeated wrong secret costs nothing, and each key allows a few
 * wrong guesses in ten seconds. Who knows one key's prefix can hold up that key alone.
 */
export class SecretChecker {
  readonly #tools: SecretTools;
  readonly #now: () => number;
  readonly #refused = new Set<string>();
  /** Wrong guesses in the present window, by stored hash. */
  readonly #failures = new Map<string, number>();
  #windowStart = 0;

  constructor(tools: SecretTools, now: () => number) {
    this.#tools = tools;
    this.#now = now;
  }

  opens(secret: string, stored: StoredSecret): boolean {
    switch (stored.algorithm) {
      case "sha256":
      case "sha256-legacy":
        return equalInConstantTime(this.#tools.sha256(secret), stored.hash);
      case "bcrypt":
        return this.#opensBcrypt(secret, stored.hash);
    }
  }

  #opensBcrypt(secret: string, hash: string): boolean {
    const guess = this.#tools.sha256(`${hash}\n${secret}`);
    if (this.#refused.has(guess) || this.#failuresOf(hash) >= slowFailuresPerWindow) {
      return false;
    }
    if (this.#tools.bcryptVerify(secret, hash)) {
      return true;
    }
    this.#failures.set(hash, this.#failuresOf(hash) + 1);
    if (this.#refused.size >= maxRemembered) {
      this.#refused.clear();
    }
    this.#refused.add(guess);
    return false;
  }

  #failuresOf(hash: string): number {
    const now = this.#now();
    if (now - this.#windowStart >= slowWindow) {
      this.#windowStart = now;
      this.#failures.clear();
    }
    return this.#failures.get(hash) ?? 0;
  }
}

const maxRemembered = 1024;
const slowWindow = 10_000;
const slowFailuresPerWindow = 3;
