// Asking the policy: who may reach whom and why, and what another policy would change.
import { compilePolicy, describeProblem, explain, formatProblems, preview } from "../policy/index.ts";
import type { AccessChange, NodeGroup, PairExplanation, PolicyEngine } from "../policy/index.ts";
import { operation } from "./operation.ts";
import type { Operation, OperationDeps } from "./operation.ts";
import { policyFault } from "./operations-policy.ts";
import { ExplainPolicy, PreviewPolicy } from "./own-calls.ts";
import type { PolicyAccessChangeValue, PolicyAnswerValue, PolicyNodeGroupValue } from "./own-messages.ts";
import { answer, refusal, refuse } from "./rpc-error.ts";
import type { Answer } from "./rpc-error.ts";

const explainPolicy = operation(ExplainPolicy, (deps, { src, dst, protocol, sshUser, policy }) => {
  const engine = engineFor(deps, policy);
  if (!engine.ok) {
    return engine;
  }
  const explained = explain(engine.value, { src, dst, protocol, ...(sshUser === "" ? {} : { sshUser }) });
  if (!explained.ok) {
    const hint = explained.hint === undefined ? "" : ` (${explained.hint})`;
    return refuse("InvalidArgument", `${explained.error}${hint}`);
  }
  return answer({ answers: explained.pairs.map(presentPair), more: explained.more });
});

/** The policy in force, or a draft. A draft's failing tests do not keep it from being asked. */
function engineFor(deps: OperationDeps, draft: string): Answer<PolicyEngine> {
  if (draft === "") {
    return answer(deps.tailnet.policy);
  }
  const compiled = compilePolicy(draft, { ...deps.policyInput(), tests: "warn" });
  return compiled.ok
    ? answer(compiled.engine)
    : refusal(policyFault({ code: "invalid", text: formatProblems(compiled.errors) }));
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

const previewPolicy = operation(PreviewPolicy, (deps, { policy }) => {
  const seen = preview(deps.tailnet.policy, policy, deps.policyInput());
  if (!seen.ok) {
    return refusal(policyFault({ code: "invalid", text: formatProblems(seen.errors) }));
  }
  return answer({
    access: seen.access.map(presentChange),
    ssh: seen.ssh.map(presentChange),
    attributes: seen.attributes.map(({ nodes, gained, lost }) => ({ nodes: presentGroup(nodes), gained, lost })),
    pairsGaining: seen.pairsGaining,
    pairsLosing: seen.pairsLosing,
    more: seen.more,
    warnings: seen.warnings.map(describeProblem),
  });
});

function presentChange({ src, dst, ownDevices, gained, lost }: AccessChange): PolicyAccessChangeValue {
  return { src: presentGroup(src), dst: presentGroup(dst), ownDevices, gained, lost };
}

function presentGroup({ count, nodes, users, tags, behind }: NodeGroup): PolicyNodeGroupValue {
  return { count, nodes, users, tags, behind };
}

export const explainOperations: readonly Operation[] = [explainPolicy, previewPolicy];
