// The tailnet over its store, with the policy that is to be in force.
import type { Store } from "../tailnet/store.ts";
import type { PolicyInput } from "../policy/index.ts";
import type { Tailnet } from "../tailnet/contract.ts";
import { createTailnet } from "../tailnet/tailnet.ts";
import { keepAuditRetention } from "./audit-part.ts";
import { openPolicyDrafts, type PolicyDrafts } from "./policy-drafts.ts";
import { startPolicyPart, type PolicyPart } from "./policy-part.ts";
import { policyTools } from "./policy-tools.ts";
import { configuredTailnet } from "./tailnet-options.ts";
import type { Startup } from "./startup.ts";

export interface TailnetPart {
  readonly tailnet: Tailnet;
  readonly policy: PolicyPart;
  /** All that decides about a policy besides its text, as things are now. */
  policyInput(): PolicyInput;
  /** Answers questions about drafts without holding up this thread. */
  readonly drafts: PolicyDrafts;
}

/** A node whose stream broke has this long to come back before others are told. */
const offlineGraceMs = 10_000;
const tickEveryMs = 1000;
/** While many commands come, those of so long share a commit. */
const gatherMs = 4;

export async function openTailnet(startup: Startup, store: Store): Promise<TailnetPart> {
  const { config, log } = startup;
  const policyLog = log.child("policy");
  const tools = policyTools(config, policyLog);
  const tailnet = await createTailnet({
    store,
    defaultNodeExpiry: config.node.expiry === 0 ? null : config.node.expiry,
    offlineGrace: offlineGraceMs,
    ...configuredTailnet(config),
    ...tools.tailnetOptions,
    linger: () => new Promise((done) => setTimeout(done, gatherMs)),
    warn: (text) => log.warn({}, text),
  });
  startup.whenStopping(() => tailnet.close());
  tools.loaded();
  const policy = await startPolicyPart({ config: config.policy, tailnet, log: policyLog });
  startup.whenStopping(() => policy.close());
  const ticker = setInterval(() => tailnet.tick(), tickEveryMs);
  startup.whenStopping(() => clearInterval(ticker));
  keepAuditRetention(startup, tailnet);
  const drafts = openPolicyDrafts({ tailnet, input: () => tools.input(tailnet) });
  startup.whenStopping(() => drafts.close());
  return { tailnet, policy, policyInput: () => tools.input(tailnet), drafts };
}
