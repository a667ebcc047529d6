// `hawser policy preview`: what putting another policy in force would change: who gains and who loses what, towards
// whom, SSH and node attributes included. Plain data; others print it.
import { CompiledEngine } from "./compiled-engine.ts";
import type { PolicyEngine } from "./engine.ts";
import type { CapMap } from "../wire/tailcfg.ts";
import type { Entry } from "./entries.ts";
import type { Identity } from "./identities.ts";
import { compilePolicy, type PolicyInput } from "./compile.ts";
import { AccessComparison } from "./preview-access.ts";
import { groupOf, type AccessChange, type NodeGroup } from "./preview-groups.ts";
import { sshChanges } from "./preview-ssh.ts";
import type { PolicyProblem } from "./problems.ts";

export interface AttributeChange {
  readonly nodes: NodeGroup;
  readonly gained: readonly string[];
  readonly lost: readonly string[];
}

export interface Preview {
  readonly ok: true;
  readonly warnings: readonly PolicyProblem[];
  readonly access: readonly AccessChange[];
  readonly ssh: readonly AccessChange[];
  readonly attributes: readonly AttributeChange[];
  /** Ordered pairs of nodes of which the one may do more, or less, to the other. */
  readonly pairsGaining: number;
  readonly pairsLosing: number;
  /** Changes that are counted but not listed. */
  readonly more: number;
}

export type PreviewResult = Preview | { readonly ok: false; readonly errors: readonly PolicyProblem[] };

/** Changes listed; far more than anybody reads. */
const maxChanges = 500;

export function preview(current: PolicyEngine, text: string, input: PolicyInput): PreviewResult {
  const compiled = compilePolicy(text, input);
  if (!compiled.ok) {
    return compiled;
  }
  const before = asCompiled(current, input);
  const after = asCompiled(compiled.engine, input);
  const comparison = new AccessComparison(before, after);
  const access = comparison.run(maxChanges);
  const ssh = sshChanges(before, after);
  const attributes = attributeChanges(before, after);
  return {
    ok: true,
    warnings: compiled.warnings,
    access: access.changes,
    ssh: ssh.slice(0, maxChanges),
    attributes: attributes.slice(0, maxChanges),
    pairsGaining: comparison.pairsGaining,
    pairsLosing: comparison.pairsLosing,
    more: access.more + Math.max(0, ssh.length - maxChanges) + Math.max(0, attributes.length - maxChanges),
  };
}

/** Engines without a policy, put into the language: everything, or nothing. */
function asCompiled(engine: PolicyEngine, input: PolicyInput): CompiledEngine {
  if (engine instanceof CompiledEngine) {
    return engine;
  }
  const [node] = input.nodes;
  const open = node !== undefined && engine.filterOf(node.id).length > 0;
  const text = open ? '{"acls":[{"action":"accept","src":["autogroup:danger-all"],"dst":["*:*"]}]}' : '{"acls":[]}';
  const compiled = compilePolicy(text, input);
  if (!compiled.ok || !(compiled.engine instanceof CompiledEngine)) {
    throw new Error("the policy that stands for none does not compile");
  }
  return compiled.engine;
}

function attributeChanges(before: CompiledEngine, after: CompiledEngine): readonly AttributeChange[] {
  if (before.attributes.isEmpty && after.attributes.isEmpty) {
    return [];
  }
  const merged = new Map<string, { readonly difference: NamesDiffer; readonly entries: Entry[] }>();
  for (const entries of alike(before, [before, after])) {
    const [entry] = entries;
    const difference =
      entry && namesDiffer(before.attributes.selfCaps(entry.node), after.attributes.selfCaps(entry.node));
    if (difference !== undefined) {
      const key = JSON.stringify(difference);
      const found = merged.get(key) ?? { difference, entries: [] };
      merged.set(key, found);
      entries.forEach((each) => found.entries.push(each));
    }
  }
  return [...merged.values()].map(({ difference, entries }) => ({ nodes: groupOf(entries), ...difference }));
}

type NamesDiffer = Pick<AttributeChange, "gained" | "lost">;

function namesDiffer(had: CapMap, has: CapMap): NamesDiffer | undefined {
  const gained = Object.keys(has).filter((name) => !Object.hasOwn(had, name));
  const lost = Object.keys(had).filter((name) => !Object.hasOwn(has, name));
  return gained.length + lost.length === 0 ? undefined : { gained, lost };
}

/** Nodes that get the same attributes under either policy. */
function alike(before: CompiledEngine, engines: readonly CompiledEngine[]): Iterable<readonly Entry[]> {
  if (engines.some(({ attributes }) => attributes.namesAddresses)) {
    return Array.from(before.entries(), (entry) => [entry]);
  }
  const byOs = new Map<unknown, Map<Identity, Entry[]>>();
  for (const entry of before.entries()) {
    const os = entry.node.posture["node:os"];
    const byIdentity = byOs.get(os) ?? new Map<Identity, Entry[]>();
    byOs.set(os, byIdentity);
    const found = byIdentity.get(entry.identity);
    if (found === undefined) {
      byIdentity.set(entry.identity, [entry]);
    } else {
      found.push(entry);
    }
  }
  return [...byOs.values()].flatMap((byIdentity) => [...byIdentity.values()]);
}

export type { AccessChange, NodeGroup } from "./preview-groups.ts";
