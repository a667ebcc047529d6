// What the mock provider has given out: codes that work once, access tokens and refresh tokens with an end.
import { randomBytes } from "node:crypto";
import type { ChallengeMethod } from "./signing.ts";
import type { MockUser } from "./users.ts";

/** A login that a code stands for. */
export interface Login {
  readonly user: MockUser;
  readonly scopes: ReadonlySet<string>;
  readonly redirectUri: string;
  /** "" when the application sent none. */
  readonly nonce: string;
  readonly challenge: { readonly method: ChallengeMethod; readonly text: string } | undefined;
  /** Milliseconds. */
  readonly at: number;
}

interface Entry {
  readonly login: Login;
  readonly until: number;
}

const codeLife = 10 * 60_000;
const refreshLife = 60 * 60_000;

export class Grants {
  readonly #codes = new Map<string, Entry>();
  readonly #access = new Map<string, Entry>();
  readonly #refresh = new Map<string, Entry>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  code(login: Login): string {
    return this.#put(this.#codes, login, codeLife);
  }

  /** The code is spent by this; spent a second time, it ends what it gave (RFC 6749 §4.1.2). */
  spendCode(code: string): Login | undefined {
    const entry = this.#codes.get(code);
    if (entry === undefined) {
      return undefined;
    }
    if (entry.until <= this.#now()) {
      this.#endTokensOf(entry.login);
      return undefined;
    }
    this.#codes.set(code, { ...entry, until: 0 });
    return entry.login;
  }

  tokens(login: Login, life: number): { readonly access: string; readonly refresh: string } {
    return {
      access: this.#put(this.#access, login, life),
      refresh: this.#put(this.#refresh, login, refreshLife),
    };
  }

  /** Works once: the answer brings the next one. */
  spendRefresh(token: string): Login | undefined {
    const login = this.#valid(this.#refresh, token);
    this.#refresh.delete(token);
    return login;
  }

  loginOfAccess(token: string): Login | undefined {
    return this.#valid(this.#access, token);
  }

  #put(into: Map<string, Entry>, login: Login, life: number): string {
    const text = randomBytes(24).toString("base64url");
    into.set(text, { login, until: this.#now() + life });
    return text;
  }

  #valid(among: ReadonlyMap<string, Entry>, text: string): Login | undefined {
    const entry = among.get(text);
    return entry !== undefined && entry.until > this.#now() ? entry.login : undefined;
  }

  #endTokensOf(login: Login): void {
    for (const tokens of [this.#access, this.#refresh]) {
      for (const [text, entry] of tokens) {
        if (entry.login === login) {
          tokens.delete(text);
        }
      }
    }
  }
}
