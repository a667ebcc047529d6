// Checks a secret against a bcrypt hash, the form in which headscale stores keys. Hashes are only read, never made: our
// own keys are random and need no slow hash.
import { compareSync } from "bcryptjs";

const pattern = /^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$/;
/** A cost that takes seconds is a mistake or an attack; headscale uses 10. */
const maxCost = 14;

/** Does this secret have this hash? False as well when the text is no bcrypt hash. Takes about a tenth of a second at cost 10. */
export function bcryptMatches(secret: string, hash: string): boolean {
  const cost = Number(pattern.exec(hash)?.[1]);
  return cost >= 4 && cost <= maxCost && compareSync(secret, hash);
}
