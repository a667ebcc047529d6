// The audit log over the interface: page by page, and judged whole.
import { verifyAudit } from "../tailnet/audit-chain.ts";
import type { StoredAuditEntry } from "../tailnet/store.ts";
import type { Json } from "../wire/tailcfg.ts";
import { presentVerdict, sha256 } from "./audit-file.ts";
import { operation } from "./operation.ts";
import type { Operation } from "./operation.ts";
import { ListAudit, VerifyAudit } from "./own-calls.ts";
import type { AuditEntryValue } from "./own-messages.ts";
import { answer, refuse } from "./rpc-error.ts";

const defaultLimit = 100;
const maxLimit = 1000;
/** Policies stand in entries whole, so a page is bounded by its size too, characters. */
const maxPageText = 4 * 1024 * 1024;

const listAudit = operation(ListAudit, async ({ tailnet }, { before, after, oldestFirst, limit }) => {
  const forward = after > 0 || oldestFirst;
  if (before > 0 && forward) {
    return refuse("InvalidArgument", "give either before, or after or oldestFirst");
  }
  const wanted = limit <= 0 ? defaultLimit : Math.min(Math.trunc(limit), maxLimit);
  const entries = await tailnet.auditLog({
    limit: wanted,
    ...(forward ? { after } : before === 0 ? {} : { before }),
  });
  return answer({ entries: onePage(entries).map(presentAudit) });
});

/** At least one entry, and no more than fit. */
function onePage(entries: readonly StoredAuditEntry[]): readonly StoredAuditEntry[] {
  let size = 0;
  const end = entries.findIndex((entry) => {
    size += entry.before.length + entry.after.length;
    return size > maxPageText;
  });
  return end === -1 ? entries : entries.slice(0, Math.max(end, 1));
}

function presentAudit(entry: StoredAuditEntry): AuditEntryValue {
  const { id, at, actorKind, actorId, from, action, target, previous, hash } = entry;
  return {
    id,
    at,
    actorKind,
    actorId,
    from,
    action,
    target,
    before: storedJson(entry.before),
    after: storedJson(entry.after),
    previousHash: previous,
    hash,
  };
}

function storedJson(text: string): Json {
  if (text === "") {
    return null;
  }
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

const verify = operation(VerifyAudit, async ({ tailnet }, { noted }) => {
  if (noted !== "" && !/^[0-9a-f]{64}$/.test(noted)) {
    return refuse("InvalidArgument", "a hash is 64 hexadecimal digits");
  }
  return answer(presentVerdict(await verifyAudit(tailnet, sha256, noted)));
});

export const auditOperations: readonly Operation[] = [listAudit, verify];
