// The audit log's retention: what is older goes, a little after the start and then every few hours.
import type { Config } from "../config/config.ts";
import type { Tailnet } from "../tailnet/contract.ts";
import type { Startup } from "./startup.ts";

const lookEveryMs = 6 * 3_600_000;
const firstLookMs = 60_000;

export function keepAuditRetention(startup: Startup, tailnet: Tailnet): void {
  const { retention }: Config["audit"] = startup.config.audit;
  if (retention === 0) {
    return;
  }
  const log = startup.log.child("audit");
  const prune = async (): Promise<void> => {
    const pruned = await tailnet.pruneAudit(Date.now() - retention);
    if (!pruned.ok) {
      log.warn({}, `the audit log was not pruned: ${pruned.error.text}`);
    }
  };
  const first = setTimeout(() => void prune(), firstLookMs);
  const interval = setInterval(() => void prune(), lookEveryMs);
  startup.whenStopping(() => {
    clearTimeout(first);
    clearInterval(interval);
  });
}
