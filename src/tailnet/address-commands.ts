// Giving a node an address that an admin chose.
import type { Addr, Prefix } from "../ip/index.ts";
import { equalAddr, formatAddr } from "../ip/index.ts";
import type { NodeId } from "../wire/ids.ts";
import { isUsableAddress } from "./addresses.ts";
import type { Planner } from "./commit-queue.ts";
import type { Actor, CommandError } from "./contract.ts";
import { policyNodeOf, recordOf } from "./derive.ts";
import type { Node } from "./model.ts";
import type { TailnetOptions } from "./options.ts";
import type { Plan } from "./plan.ts";
import { shown } from "./node-fields.ts";
import type { TailnetState } from "./state.ts";

export interface WantedAddresses {
  readonly ipv4?: Addr;
  readonly ipv6?: Addr;
}

export function setAddresses(
  state: TailnetState,
  options: TailnetOptions,
  actor: Actor,
  id: NodeId,
  wanted: WantedAddresses,
): Planner<Node> {
  return (plan) => {
    const node = plan.node(id);
    if (node === undefined) {
      return { ok: false, error: { code: "not-found", text: "node not found" } };
    }
    const fields: { ipv4?: Addr; ipv6?: Addr } = {};
    for (const family of [4, 6] as const) {
      const field = family === 4 ? "ipv4" : "ipv6";
      const addr = wanted[field];
      const has = node[field];
      if (addr === undefined || (has !== null && equalAddr(has, addr))) {
        continue;
      }
      const fault = take(plan, addr, poolsOf(plan, options, node, family));
      if (fault !== undefined) {
        return { ok: false, error: fault };
      }
      fields[field] = addr;
    }
    const record = { ...recordOf(node), ...fields };
    if (Object.keys(fields).length > 0) {
      plan.putNode(record);
      plan.audit(actor, "node.addresses", `node:${id}`, shown(node), shown(record));
    }
    return { ok: true, value: () => state.nodes.get(id) ?? node };
  };
}

function poolsOf(plan: Plan, options: TailnetOptions, node: Node, family: 4 | 6): readonly Prefix[] {
  const pools = plan.policy.ipPools(policyNodeOf(node)).filter((pool) => pool.addr.family === family);
  const prefix = family === 4 ? options.prefixV4 : options.prefixV6;
  return pools.length > 0 ? pools : prefix === null ? [] : [prefix];
}

function take(plan: Plan, addr: Addr, pools: readonly Prefix[]): CommandError | undefined {
  if (!pools.some((pool) => isUsableAddress(addr, pool))) {
    return { code: "invalid", text: `${formatAddr(addr)} is not an address that a node here may have` };
  }
  return plan.takeThisAddress(addr)
    ? undefined
    : { code: "conflict", text: `${formatAddr(addr)} is in use by another node` };
}
