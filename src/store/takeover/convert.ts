// A whole headscale database as the writes that make a Hawser database of it, beside a report. Pure: what reads the
// database, hashes and decodes is passed in.
import type { PreAuthKey, User } from "../../tailnet/model.ts";
import type { AuditEntry, Write } from "../../tailnet/store.ts";
import { convertApiKeys, convertPreAuthKeys } from "./convert-keys.ts";
import type { HashText } from "./convert-keys.ts";
import { convertNodes } from "./convert-nodes.ts";
import type { NodeSurroundings } from "./convert-nodes.ts";
import { convertPolicies, convertUsers } from "./convert-users.ts";
import type { Row } from "./legacy-values.ts";
import type { LegacyVersion } from "./legacy-version.ts";
import { Report } from "./report.ts";

/** All rows of the tables a takeover reads; a table that the version does not have is empty. */
export interface LegacyTables {
  readonly version: LegacyVersion;
  readonly users: readonly Row[];
  readonly nodes: readonly Row[];
  readonly preAuthKeys: readonly Row[];
  readonly apiKeys: readonly Row[];
  readonly policies: readonly Row[];
  readonly routes: readonly Row[];
  /** Highest id ever given out per table (AUTOINCREMENT or sequence), where the database knows it. */
  readonly highest: Readonly<Record<"users" | "nodes" | "pre_auth_keys" | "api_keys" | "policies", number>>;
}

export interface ConvertTools {
  readonly hash: HashText;
  readonly decodeHostinfo: NodeSurroundings["decodeHostinfo"];
  /**
   * Who may carry which tag by the policy that was in force: given the newest text in the database (undefined when there
   * is none) and the users, or why that cannot be said.
   */
  readonly judgeTags: (policy: string | undefined, users: readonly User[]) => TagJudge;
  /** The first entry of the new audit log. */
  readonly note?: (done: Pick<Conversion, "report" | "counts"> & Pick<LegacyTables, "version">) => AuditEntry;
}

export interface TagJudge {
  readonly mayTag: NodeSurroundings["mayTag"];
  /** Why nothing is granted; reported when it matters. */
  readonly problem?: string;
  /** There is a policy, and it is the problem: the server will start without one. */
  readonly unusable?: true;
}

export interface Conversion {
  /** One group: all or nothing. */
  readonly writes: readonly Write[];
  readonly report: Report;
  readonly counts: Readonly<Record<"users" | "nodes" | "preAuthKeys" | "apiKeys" | "policies", number>>;
}

export function convert(tables: LegacyTables, tools: ConvertTools): Conversion {
  const report = new Report();
  // Those two may hold identifiers as providers gave them; from then on headscale wrote them clean, and they stay as they are.
  const users = convertUsers(tables.users, ["0.25", "0.26"].includes(tables.version), report);
  const userIds = new Set<number>(users.map((user) => user.id));
  const policies = convertPolicies(tables.policies, report);
  const judge = tools.judgeTags(policies.at(-1)?.text, users);
  if (judge.unusable && judge.problem !== undefined) {
    report.add("odd", "policy", `${judge.problem}; until it is mended nobody may reach anybody`);
  }
  const preAuthKeys = convertPreAuthKeys(tables.preAuthKeys, userIds, tools.hash, report);
  const nodes = convertNodes(
    tables.nodes,
    {
      users: userIds,
      preAuthKeys: new Map<number, PreAuthKey>(preAuthKeys.map(({ key }) => [key.id, key])),
      routes: tables.routes,
      decodeHostinfo: tools.decodeHostinfo,
      mayTag: judge.mayTag,
      tagProblem: judge.problem,
    },
    report,
  );
  const apiKeys = convertApiKeys(tables.apiKeys, report);
  const counts = {
    users: users.length,
    nodes: nodes.length,
    preAuthKeys: preAuthKeys.length,
    apiKeys: apiKeys.length,
    policies: policies.length,
  };
  const writes: Write[] = [
    ...users.map((user): Write => ({ kind: "put-user", user })),
    ...preAuthKeys.map(({ key, secret }): Write => ({ kind: "put-pre-auth-key", key, secret })),
    ...nodes.map(({ record, presence }): Write => ({ kind: "put-node", node: record, presence })),
    ...apiKeys.map(({ key, secret }): Write => ({ kind: "put-api-key", key, secret })),
    ...policies.map((policy): Write => ({ kind: "put-policy", policy })),
    {
      kind: "reserve-ids",
      highest: {
        user: tables.highest.users,
        node: tables.highest.nodes,
        preAuthKey: tables.highest.pre_auth_keys,
        apiKey: tables.highest.api_keys,
        policy: tables.highest.policies,
      },
    },
    { kind: "put-setting", key: "takeover.from", value: `headscale ${tables.version}` },
    ...(tools.note === undefined
      ? []
      : [{ kind: "audit", entry: tools.note({ version: tables.version, report, counts }) } as const]),
  ];
  return {
    writes,
    report,
    counts,
  };
}
