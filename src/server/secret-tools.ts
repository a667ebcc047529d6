// The hash functions and randomness that the tailnet borrows.
import { randomBytes } from "node:crypto";
import { bcryptMatches } from "../identity/bcrypt.ts";
import { sha256 } from "../store/audit.ts";
import type { SecretTools } from "../tailnet/options.ts";

/** Asking for a few random bytes costs as much as for many: those for names and ids are fetched together. */
const fetchedAtOnce = 1024;
const mostFetched = 64;
let fetched: Buffer = Buffer.alloc(0);
let given = 0;

/** Nothing that was given out stays behind. */
function someRandomBytes(count: number): Uint8Array {
  if (count > mostFetched) {
    return randomBytes(count);
  }
  if (given + count > fetched.length) {
    fetched = randomBytes(fetchedAtOnce);
    given = 0;
  }
  const bytes = Uint8Array.from(fetched.subarray(given, given + count));
  fetched.fill(0, given, given + count);
  given += count;
  return bytes;
}

export const secretTools: SecretTools = {
  randomBytes: someRandomBytes,
  sha256,
  bcryptVerify: bcryptMatches,
};
