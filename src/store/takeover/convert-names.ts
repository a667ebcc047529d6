// Names of the nodes of a headscale database: unique labels. Who bears one rightly keeps it, whatever others make of
// theirs; of two with one name the one seen last keeps it.
import { NameTable, derivesFrom, labelFault, sanitizeHostname } from "../../tailnet/names.ts";
import type { NodeRecord } from "../../tailnet/model.ts";
import type { Report } from "./report.ts";

export interface StoredName {
  /** As headscale's report lines name the node. */
  readonly subject: string;
  /** `given_name` as it stands in the database. */
  readonly stored: string;
  /** What the machine calls itself. */
  readonly hostname: string;
}

type Name = Pick<NodeRecord, "givenName" | "nameFixed">;

/** One name for each, in the order of the argument: that of preference. */
export function convertNames(wanted: readonly StoredName[], report: Report): readonly Name[] {
  const names = new NameTable();
  const rightful = wanted.map(({ stored }) => {
    if (labelFault(stored) !== undefined || names.has(stored)) {
      return false;
    }
    names.take(stored);
    return true;
  });
  return wanted.map(({ stored, subject, hostname }, index) => {
    const usable = labelFault(stored) === undefined ? stored : sanitizeHostname(stored === "" ? hostname : stored);
    const nameFixed = !derivesFrom(usable, sanitizeHostname(hostname));
    if (rightful[index] === true) {
      return { givenName: stored, nameFixed };
    }
    const givenName = names.unique(usable);
    names.take(givenName);
    const fault = stored === "" ? "empty" : labelFault(stored) === undefined ? "taken" : "no DNS label";
    report.add("repaired", subject, `its name is now ${JSON.stringify(givenName)}: the stored one is ${fault}`);
    return { givenName, nameFixed };
  });
}
