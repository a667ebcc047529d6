// The policy in the database of a server that does not run, for commands that mend what keeps it from starting.
import type { PreviewPolicyValue } from "../api/own-messages.ts";
import { presentPreview } from "../api/policy-preview.ts";
import type { Config } from "../config/config.ts";
import { createLogger } from "../ops/logger.ts";
import { preview } from "../policy/index.ts";
import type { Actor, Result } from "../tailnet/contract.ts";
import { createTailnet } from "../tailnet/tailnet.ts";
import { openStore } from "./open-store.ts";
import { policyTools } from "./policy-tools.ts";
import { configuredTailnet } from "./tailnet-options.ts";

export interface OfflinePolicy {
  /** Undefined when none was ever set. */
  get(): Promise<string | undefined>;
  /** Refused when it does not compile; failing tests are no reason, because the way out of trouble may need it. */
  set(text: string): Promise<Result<void>>;
  /** What setting it would change, beside what is in force; undefined when it cannot be set. */
  preview(text: string): PreviewPolicyValue | undefined;
  /** As a running server would judge it, tests included; the value are warnings. */
  check(text: string): Result<readonly string[]>;
  close(): Promise<void>;
}

export type OfflineOpening =
  | { readonly ok: true; readonly policy: OfflinePolicy }
  | { readonly ok: false; readonly reason: string };

const actor: Actor = { kind: "cli", id: "offline", from: "" };

/** Holds the database for itself; refused while a server has it. */
export async function openPolicyOffline(config: Config): Promise<OfflineOpening> {
  const log = createLogger({ ...config.log, level: "error" });
  const opening = await openStore(config, log);
  if (!opening.ok) {
    return opening;
  }
  const { store } = opening;
  const tools = policyTools(config, log);
  const tailnet = await createTailnet({
    store,
    defaultNodeExpiry: null,
    offlineGrace: 0,
    ...configuredTailnet(config),
    ...tools.tailnetOptions,
  });
  return {
    ok: true,
    policy: {
      get: async () => (await tailnet.policyHistory())[0]?.text,
      async set(text) {
        const set = await tailnet.setPolicy(actor, text);
        return set.ok ? { ok: true, value: undefined } : set;
      },
      preview(text) {
        const seen = preview(tailnet.policy, text, { ...tools.input(tailnet), tests: "warn" });
        return seen.ok ? presentPreview(seen) : undefined;
      },
      check: (text) => tools.check(text, tailnet),
      async close() {
        await tailnet.close();
        await store.close();
      },
    },
  };
}
