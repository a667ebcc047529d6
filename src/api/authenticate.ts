// Who calls over the network: the bearer key of a request, with a bound on how often one address may guess. A key that
// was good a moment ago is not locked out by the wrong guesses of others behind the same proxy.
import { createHash } from "node:crypto";
import type { TailnetCommands } from "../tailnet/contract.ts";
import type { Caller } from "./operation.ts";

const failuresPerWindow = 30;
const windowMs = 60_000;
/** Addresses and keys remembered at most; the oldest are forgotten first. */
const remembered = 4096;
const goodKeyMs = 10 * 60_000;

export type Authentication =
  | { readonly kind: "caller"; readonly caller: Caller }
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "too-many"; readonly retryAfterSeconds: number };

export interface Authenticator {
  /** `header` is the Authorization header's (or gRPC metadata's) text; `address` names the caller's network place. */
  check(header: string | undefined, address: string): Authentication;
}

interface Failures {
  readonly since: number;
  readonly count: number;
}

export function createAuthenticator(
  tailnet: Pick<TailnetCommands, "verifyApiKey">,
  clock: { now(): number },
): Authenticator {
  const failures = new Map<string, Failures>();
  const goodUntil = new Map<string, number>();

  function failed(address: string): Authentication {
    const now = clock.now();
    const known = failures.get(address);
    const running = known !== undefined && now - known.since < windowMs;
    failures.delete(address);
    failures.set(address, running ? { since: known.since, count: known.count + 1 } : { since: now, count: 1 });
    forgetOldest(failures);
    return { kind: "refused", reason: "invalid token" };
  }

  function waitSeconds(address: string): number {
    const known = failures.get(address);
    const left = known === undefined ? 0 : known.since + windowMs - clock.now();
    return known !== undefined && known.count >= failuresPerWindow && left > 0 ? Math.ceil(left / 1000) : 0;
  }

  return {
    check(header, address) {
      if (header === undefined || header === "") {
        return { kind: "refused", reason: "authorization token not supplied" };
      }
      if (!header.startsWith("Bearer ")) {
        return { kind: "refused", reason: 'missing "Bearer " prefix in "Authorization" header' };
      }
      const secret = header.slice("Bearer ".length).trim();
      if (secret.length > 512) {
        return failed(address);
      }
      const digest = createHash("sha256").update(secret).digest("base64");
      const wait = waitSeconds(address);
      if (wait > 0 && (goodUntil.get(digest) ?? 0) < clock.now()) {
        return { kind: "too-many", retryAfterSeconds: wait };
      }
      const key = tailnet.verifyApiKey(secret);
      if (key === undefined) {
        goodUntil.delete(digest);
        return failed(address);
      }
      goodUntil.delete(digest);
      goodUntil.set(digest, clock.now() + goodKeyMs);
      forgetOldest(goodUntil);
      const actor = { kind: "api-key", id: key.prefix, from: address } as const;
      return { kind: "caller", caller: { actor, scopes: key.scopes } };
    },
  };
}

function forgetOldest(map: Map<string, unknown>): void {
  if (map.size > remembered) {
    const [oldest] = map.keys();
    if (oldest !== undefined) {
      map.delete(oldest);
    }
  }
}
