// Asking the policy: who may reach whom and why, and what another policy would change.
import { explain, formatProblems } from "../policy/index.ts";
import type { Explanation, ExplainQuery, PairExplanation } from "../policy/index.ts";
import { askDraft } from "./ask-draft.ts";
import { operation } from "./operation.ts";
import type { Operation, OperationDeps } from "./operation.ts";
import { policyFault } from "./operations-policy.ts";
import { ExplainPolicy, PreviewPolicy } from "./own-calls.ts";
import type { PolicyAnswerValue } from "./own-messages.ts";
import { presentPreview } from "./policy-preview.ts";
import { answer, refusal, refuse } from "./rpc-error.ts";
import type { Answer } from "./rpc-error.ts";

const explainPolicy = operation(ExplainPolicy, async (deps, { src, dst, protocol, sshUser, policy }) => {
  const query = { src, dst, protocol, ...(sshUser === "" ? {} : { sshUser }) };
  const asked = await explainWith(deps, query, policy);
  if (!asked.ok) {
    return asked;
  }
  const explained = asked.value;
  if (!explained.ok) {
    const hint = explained.hint === undefined ? "" : ` (${explained.hint})`;
    return refuse("InvalidArgument", `${explained.error}${hint}`);
  }
  return answer({ answers: explained.pairs.map(presentPair), more: explained.more });
});

/** By the policy in force, or by a draft. */
async function explainWith(deps: OperationDeps, query: ExplainQuery, draft: string): Promise<Answer<Explanation>> {
  if (draft === "") {
    return answer(explain(deps.tailnet.policy, query));
  }
  const { result } = await askDraft(deps, { kind: "explain", text: draft, query });
  return result.ok
    ? answer(result.explained)
    : refusal(policyFault({ code: "invalid", text: formatProblems(result.errors) }));
}

function presentPair(pair: PairExplanation): PolicyAnswerValue {
  return {
    allowed: pair.allowed,
    src: presentEnd(pair.src),
    dst: presentEnd(pair.dst),
    port: pair.port ?? 0,
    protocol: pair.protocol ?? 0,
    by: pair.by.map(({ section, index, line, column, source, destination, ports, posture }) => ({
      section,
      index,
      line,
      column,
      source: source.selector,
      sourceThrough: source.through,
      destination: destination.selector,
      destinationThrough: destination.through,
      ports,
      posture: posture ?? "",
    })),
    misses: pair.misses.map(({ section, index, line, column, kind, text }) => ({
      section,
      index,
      line,
      column,
      missing: kind,
      text,
    })),
    reasons: pair.reasons,
    router: pair.through?.name ?? "",
    route: pair.through?.route ?? "",
    visible: pair.visible,
    ssh: presentSsh(pair.ssh),
  };
}

function presentEnd({ node, name, address, user, tags }: PairExplanation["src"]): PolicyAnswerValue["src"] {
  return { node: node ?? 0, name, address, user: user ?? "", tags };
}

function presentSsh(ssh: PairExplanation["ssh"]): PolicyAnswerValue["ssh"] {
  return ssh === undefined
    ? null
    : {
        allowed: ssh.allowed,
        action: ssh.action ?? "",
        checkPeriodMs: ssh.checkPeriod ?? 0,
        network: ssh.network,
        line: ssh.by?.line ?? 0,
        source: ssh.by?.source ?? "",
        misses: ssh.misses.map(({ line, text }) => `line ${line}: ${text}`),
      };
}

const previewPolicy = operation(PreviewPolicy, async (deps, { policy }) => {
  const { result: seen } = await askDraft(deps, { kind: "preview", text: policy });
  if (!seen.ok) {
    return refusal(policyFault({ code: "invalid", text: formatProblems(seen.errors) }));
  }
  return answer(presentPreview(seen));
});

export const explainOperations: readonly Operation[] = [explainPolicy, previewPolicy];
