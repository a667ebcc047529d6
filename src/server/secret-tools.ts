// The hash functions and randomness that the tailnet borrows.
import { createHash, randomBytes } from "node:crypto";
import { bcryptMatches } from "../identity/bcrypt.ts";
import type { SecretTools } from "../tailnet/options.ts";

export const secretTools: SecretTools = {
  randomBytes: (count) => randomBytes(count),
  sha256: (text) => createHash("sha256").update(text, "utf8").digest("hex"),
  bcryptVerify: bcryptMatches,
};
