// Everything of one store into another that is still empty, in one commit: users, keys, nodes with what is known of
// them, policies and audit entries in their order.
import type { AuditEntry, Store, StoredAuditEntry, Write } from "../tailnet/store.ts";

export interface CopyCounts {
  readonly users: number;
  readonly nodes: number;
  readonly preAuthKeys: number;
  readonly apiKeys: number;
  readonly policies: number;
  readonly auditEntries: number;
}

export type CopyOutcome =
  | { readonly ok: true; readonly counts: CopyCounts }
  | { readonly ok: false; readonly reason: string };

/** Entries read at a time. */
const auditPage = 10_000;
const allPolicies = 1_000_000;

/** `note`: one more entry at the end of the copy's audit log. */
export async function copyStore(
  from: Store,
  to: Store,
  note?: (counts: CopyCounts) => AuditEntry,
): Promise<CopyOutcome> {
  const there = await to.load();
  if (there.users.length + there.nodes.length + there.preAuthKeys.length + there.apiKeys.length > 0) {
    return { ok: false, reason: "the database to copy to is not empty; name a new one" };
  }
  const snapshot = await from.load();
  const policies = (await from.policyHistory(allPolicies)).toReversed();
  const audit = await wholeAuditLog(from);
  const chain = await from.auditChain();
  const counts: CopyCounts = {
    users: snapshot.users.length,
    nodes: snapshot.nodes.length,
    preAuthKeys: snapshot.preAuthKeys.length,
    apiKeys: snapshot.apiKeys.length,
    policies: policies.length,
    auditEntries: audit.length,
  };
  const writes: Write[] = [
    ...snapshot.users.map((user): Write => ({ kind: "put-user", user })),
    ...snapshot.preAuthKeys.map(({ key, secret }): Write => ({ kind: "put-pre-auth-key", key, secret })),
    ...snapshot.nodes.map(({ record, presence }): Write => ({ kind: "put-node", node: record, presence })),
    ...snapshot.apiKeys.map(({ key, secret }): Write => ({ kind: "put-api-key", key, secret })),
    ...policies.map((policy): Write => ({ kind: "put-policy", policy })),
    ...Object.entries(snapshot.settings).map(([key, value]): Write => ({ kind: "put-setting", key, value })),
    // As it stands, damage included: what was wrong with it there is wrong with it here.
    { kind: "restore-audit", chain, entries: audit },
    ...(note === undefined ? [] : [{ kind: "audit", entry: note(counts) } as const]),
    { kind: "reserve-ids", highest: snapshot.highest },
  ];
  const outcome = await to.commit([writes]);
  if (!outcome.ok) {
    return { ok: false, reason: outcome.refused.map((refused) => refused.reason).join("; ") };
  }
  return { ok: true, counts };
}

async function wholeAuditLog(store: Store): Promise<readonly StoredAuditEntry[]> {
  const pages: (readonly StoredAuditEntry[])[] = [];
  let after = 0;
  for (;;) {
    const page = await store.auditLog({ after, limit: auditPage });
    pages.push(page);
    after = page.at(-1)?.id ?? after;
    if (page.length < auditPage) {
      return pages.flat();
    }
  }
}
