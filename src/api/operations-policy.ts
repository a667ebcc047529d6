// The policy as a text, and the server's health.
import { describeProblem, formatProblems } from "../policy/index.ts";
import type { CommandError, PolicyVersion, TailnetCommands } from "../tailnet/contract.ts";
import { askDraft } from "./ask-draft.ts";
import { CheckPolicy, GetPolicy, Health, SetPolicy } from "./calls.ts";
import { operation } from "./operation.ts";
import type { Operation } from "./operation.ts";
import { answer, refusal, refuse } from "./rpc-error.ts";

export async function latestPolicy(tailnet: TailnetCommands): Promise<PolicyVersion | undefined> {
  const versions = await tailnet.policyHistory();
  return versions.reduce<PolicyVersion | undefined>(
    (latest, version) => (latest === undefined || version.id > latest.id ? version : latest),
    undefined,
  );
}

/** headscale says of a text that cannot be read or used that it was parsing it; failing tests speak for themselves. */
export function policyFault(error: CommandError): CommandError {
  const named = error.code !== "invalid" || /^(?:parsing policy|test\(s\) failed)/.test(error.text);
  const reading = error.text.startsWith("hujson:") ? "parsing HuJSON: " : "";
  return named ? error : { ...error, text: `parsing policy: ${reading}${error.text}` };
}

const getPolicy = operation(GetPolicy, async ({ tailnet, policySource }) => {
  if (policySource.mode === "file") {
    let text: string | undefined;
    try {
      text = await policySource.readFile?.();
    } catch (fault) {
      return refuse("Unknown", `reading policy from file: ${fault instanceof Error ? fault.message : String(fault)}`);
    }
    return text === undefined
      ? refuse("Unknown", "loading ACL policy: acl policy not found")
      : answer({ policy: text, updatedAt: null });
  }
  const latest = await latestPolicy(tailnet);
  return latest === undefined
    ? refuse("Unknown", "loading ACL from database: acl policy not found")
    : answer({ policy: latest.text, updatedAt: latest.setAt });
});

const setPolicy = operation(SetPolicy, async ({ tailnet, policySource }, { policy }, { actor }) => {
  if (policySource.mode !== "database") {
    return refuse("Unknown", "update is disabled for modes other than 'database'");
  }
  const set = await tailnet.setPolicy(actor, policy);
  return set.ok
    ? answer({ policy: set.value.text, updatedAt: set.value.setAt })
    : refusal(policyFault(set.error), { invalid: "Unknown" }, "setting policy: ");
});

const checkPolicy = operation(CheckPolicy, async (deps, { policy }) => {
  const { result: compiled } = await askDraft(deps, { kind: "check", text: policy });
  return compiled.ok
    ? answer({ warnings: compiled.warnings.map(describeProblem) })
    : refusal(policyFault({ code: "invalid", text: formatProblems(compiled.errors) }));
});

const health = operation(Health, async ({ databaseHealthy }) =>
  (await databaseHealthy())
    ? answer({ databaseConnectivity: true })
    : refuse("Internal", "the database does not answer"),
);

export const policyOperations: readonly Operation[] = [getPolicy, setPolicy, checkPolicy, health];
