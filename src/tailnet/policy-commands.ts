// Replacing the policy: compiled first, stored with its history, and only then in force. Auto-approvals run again with
// the new one; they never take a route away.
import type { PolicyEngine } from "../policy/engine.ts";
import type { Planner } from "./commit-queue.ts";
import type { Actor, PolicyVersion } from "./contract.ts";
import { policyNodeOf, policyUserOf, presenceOf, recordOf, samePrefixes, sortedPrefixes } from "./derive.ts";
import { shown } from "./node-fields.ts";
import type { CompiledPolicy, PolicyWorld, TailnetOptions } from "./options.ts";
import type { Plan } from "./plan.ts";
import type { Settler } from "./settle.ts";
import type { TailnetState } from "./state.ts";

/** Longer texts are refused before they are read. */
const maxPolicyText = 4 * 1024 * 1024;

function isEmpty(text: string): boolean {
  return text.trim() === "";
}

/** The engine for a stored text; an empty one is no policy at all. */
export function compile(options: TailnetOptions, text: string, world: PolicyWorld): CompiledPolicy {
  return isEmpty(text) ? { ok: true, engine: options.defaultPolicy(world) } : options.compilePolicy(text, world);
}

export function setPolicy(
  deps: { readonly state: TailnetState; readonly settler: Settler; readonly options: TailnetOptions },
  actor: Actor,
  text: string,
): Planner<PolicyVersion> {
  const { state, settler, options } = deps;
  return (plan) => {
    if (text.length > maxPolicyText) {
      return { ok: false, error: { code: "invalid", text: "the policy is too long" } };
    }
    // Compiling is the dear part: not before it is certain that the plan can stand.
    const before = plan.currentPolicyVersion;
    const nodes = plan.allNodes();
    plan.allUsers();
    if (plan.spoiled) {
      return { ok: false, error: { code: "unavailable", text: "later" } };
    }
    const compiled = compile(options, text, {
      users: [...state.users.values()].map(policyUserOf),
      nodes: settler.policyNodes(),
    });
    if (!compiled.ok) {
      return { ok: false, error: { code: "invalid", text: compiled.error } };
    }
    const { engine } = compiled;
    const policy: PolicyVersion = { id: plan.nextPolicyId(), text, setAt: plan.now, setBy: setter(actor) };
    plan.putPolicy(policy);
    plan.audit(actor, "policy.set", `policy:${policy.id}`, before?.text, text);
    for (const node of nodes) {
      approveWith(plan, actor, engine, node);
    }
    settler.keepUpToDate(engine);
    plan.onAbandon(() => settler.drop(engine));
    plan.afterwards.push(() => {
      settler.drop(engine);
      settler.putInForce(engine);
    });
    return { ok: true, value: () => policy };
  };
}

function approveWith(plan: Plan, actor: Actor, engine: PolicyEngine, node: Parameters<typeof policyNodeOf>[0]): void {
  if (node.advertised.length === 0) {
    return;
  }
  const granted = engine.autoApproved(policyNodeOf(node), node.advertised);
  const approvedRoutes = sortedPrefixes([...node.approvedRoutes, ...granted]);
  if (!samePrefixes(approvedRoutes, node.approvedRoutes)) {
    const record = { ...recordOf(node), approvedRoutes };
    plan.putNode(record, presenceOf(node));
    plan.audit(actor, "node.routes", `node:${node.id}`, shown(node), shown(record));
  }
}

/** As history names them: `cli:root`, `api-key:…`; a part of the server itself by its own name (`file`). */
function setter({ kind, id }: Actor): string {
  if (id === "") {
    return kind;
  }
  return kind === "server" ? id : `${kind}:${id}`;
}
