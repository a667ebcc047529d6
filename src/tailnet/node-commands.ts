// Commands on nodes that exist.
import type { Prefix } from "../ip/index.ts";
import { exitRouteV4, exitRouteV6, formatAddr, isExitRoute } from "../ip/index.ts";
import type { MachineKey, NodeId, NodeKey, UserId } from "../wire/ids.ts";
import { sameTexts } from "./adopt.ts";
import type { Planner } from "./commit-queue.ts";
import type { Actor, CommandError, Result } from "./contract.ts";
import { isTagged, policyNodeOf, presenceOf, recordOf, samePrefixes, sortedPrefixes } from "./derive.ts";
import type { Node, NodeRecord } from "./model.ts";
import { labelFault } from "./names.ts";
import type { TailnetOptions } from "./options.ts";
import type { Plan } from "./plan.ts";
import { renamed, shown, withAutoApproval } from "./node-fields.ts";
import { isExpired } from "./settle.ts";
import type { TailnetState } from "./state.ts";
import { checkTags, tagsNotPermitted } from "./tags.ts";
import { userNotFound } from "./user-commands.ts";

const nodeNotFound: CommandError = { code: "not-found", text: "node not found" };
const wrongMachine: CommandError = { code: "denied", text: "node exist with different machine key" };

export const theServer: Actor = { kind: "server", id: "", from: "" };

/** Stores the changed record with an audit line, or nothing when it says the same; answers with the node. */
function change(
  state: TailnetState,
  plan: Plan,
  actor: Actor,
  action: string,
  node: Node,
  fields: Partial<NodeRecord>,
): Result<() => Node> {
  const record: NodeRecord = { ...recordOf(node), ...fields };
  if (!sameRecord(recordOf(node), record)) {
    plan.putNode(record);
    plan.audit(actor, action, `node:${node.id}`, shown(node), shown(record));
  }
  return { ok: true, value: () => state.nodes.get(node.id) ?? node };
}

function sameRecord(left: NodeRecord, right: NodeRecord): boolean {
  const { tags: leftTags, approvedRoutes: leftRoutes, ...leftRest } = left;
  const { tags: rightTags, approvedRoutes: rightRoutes, ...rightRest } = right;
  return (
    sameTexts(leftTags, rightTags) &&
    samePrefixes(leftRoutes, rightRoutes) &&
    Object.entries(leftRest).every(([key, value]) => Reflect.get(rightRest, key) === value)
  );
}

/** The longest full name of a node, with the trailing dot (headscale §7.5). */
const maxFullName = 255;

export function renameNode(
  state: TailnetState,
  options: TailnetOptions,
  actor: Actor,
  id: NodeId,
  wanted: string,
): Planner<Node> {
  return (plan) => {
    const node = plan.node(id);
    if (node === undefined) {
      return { ok: false, error: nodeNotFound };
    }
    const name = wanted.toLowerCase();
    const fault = labelFault(wanted);
    if (fault !== undefined) {
      return { ok: false, error: { code: "invalid", text: fault } };
    }
    if (options.baseDomain !== "" && `${name}.${options.baseDomain}.`.length > maxFullName) {
      return { ok: false, error: { code: "invalid", text: `the full name of ${name} is too long` } };
    }
    if (name !== node.givenName) {
      if (plan.nameIsTaken(name)) {
        return { ok: false, error: { code: "conflict", text: `node name is not unique: ${name}` } };
      }
      plan.takeName(name);
    }
    return change(state, plan, actor, "node.rename", node, { givenName: name, nameFixed: true });
  };
}

/** Replaces the tags and takes the node from its user; its expiry stays as it is (headscale §7.3). */
export function setTags(state: TailnetState, actor: Actor, id: NodeId, wanted: readonly string[]): Planner<Node> {
  return (plan) => {
    const node = plan.node(id);
    if (node === undefined) {
      return { ok: false, error: nodeNotFound };
    }
    if (wanted.length === 0) {
      const text = "cannot remove all tags from a node - tagged nodes must have at least one tag";
      return { ok: false, error: { code: "invalid", text } };
    }
    const checked = checkTags(wanted);
    if (!checked.ok) {
      return checked;
    }
    const unknown = checked.tags.filter((tag) => !plan.policy.tagExists(tag));
    if (unknown.length > 0) {
      return { ok: false, error: tagsNotPermitted(unknown) };
    }
    if (!isTagged(node) && plan.nodesOfMachine(node.machineKey).some(isTagged)) {
      return { ok: false, error: { code: "conflict", text: "the machine already has a tagged node" } };
    }
    return change(state, plan, actor, "node.tags", node, { userId: null, tags: checked.tags });
  };
}

/** Either of the exit routes stands for both. */
export function setApprovedRoutes(
  state: TailnetState,
  actor: Actor,
  id: NodeId,
  routes: readonly Prefix[],
): Planner<Node> {
  return (plan) => {
    const node = plan.node(id);
    if (node === undefined) {
      return { ok: false, error: nodeNotFound };
    }
    if (routes.length > maxRoutes) {
      return { ok: false, error: { code: "invalid", text: `more than ${maxRoutes} routes` } };
    }
    const exits = routes.some(isExitRoute) ? [exitRouteV4, exitRouteV6] : [];
    const approvedRoutes = sortedPrefixes([...routes, ...exits]);
    return change(state, plan, actor, "node.routes", node, { approvedRoutes });
  };
}
const maxRoutes = 4096;

export function expireNode(state: TailnetState, actor: Actor, id: NodeId, expiry: number | null): Planner<Node> {
  return (plan) => {
    const node = plan.node(id);
    return node === undefined
      ? { ok: false, error: nodeNotFound }
      : change(state, plan, actor, "node.expire", node, { expiry });
  };
}

export function moveNode(state: TailnetState, actor: Actor, id: NodeId, user: UserId): Planner<Node> {
  return (plan) => {
    const node = plan.node(id);
    if (node === undefined) {
      return { ok: false, error: nodeNotFound };
    }
    if (plan.user(user) === undefined) {
      return { ok: false, error: userNotFound };
    }
    if (isTagged(node)) {
      return { ok: false, error: { code: "invalid", text: "a tagged node has no user to move it from" } };
    }
    if (plan.nodesOfMachine(node.machineKey).some((other) => other.id !== id && other.userId === user)) {
      return { ok: false, error: { code: "conflict", text: "the user already has a node on this machine" } };
    }
    return change(state, plan, actor, "node.move", node, { userId: user });
  };
}

export function deleteNode(actor: Actor, id: NodeId): Planner<void> {
  return (plan) => {
    const node = plan.node(id);
    if (node === undefined) {
      return { ok: false, error: nodeNotFound };
    }
    remove(plan, actor, "node.delete", node);
    return { ok: true, value: () => undefined };
  };
}

function remove(plan: Plan, actor: Actor, action: string, node: Node): void {
  plan.deleteNode(node);
  plan.audit(actor, action, `node:${node.id}`, shown(node), undefined);
}

/** Deletes the node if it is still ephemeral and `idle` says so. */
export function deleteEphemeral(id: NodeId, idle: () => boolean): Planner<void> {
  return (plan) => {
    const node = plan.node(id);
    if (node?.ephemeral === true && idle()) {
      remove(plan, theServer, "node.ephemeral-gone", node);
    }
    return { ok: true, value: () => undefined };
  };
}

function actorOf(node: Node, from = ""): Actor {
  return { kind: "node", id: String(node.id), from };
}

/** The node that a machine names as its own. */
function ownNode(plan: Plan, machineKey: MachineKey, nodeKey: NodeKey): Result<Node> {
  const node = plan.nodeByKey(nodeKey);
  if (node === undefined) {
    return { ok: false, error: nodeNotFound };
  }
  return node.machineKey === machineKey ? { ok: true, value: node } : { ok: false, error: wrongMachine };
}

export function logout(machineKey: MachineKey, nodeKey: NodeKey, from?: string): Planner<void> {
  return (plan) => {
    const own = ownNode(plan, machineKey, nodeKey);
    if (!own.ok) {
      return own;
    }
    const node = own.value;
    if (node.ephemeral) {
      remove(plan, actorOf(node, from), "node.logout", node);
    } else if (!isExpired(node, plan.now)) {
      const record = { ...recordOf(node), expiry: plan.now };
      plan.putNode(record);
      plan.audit(actorOf(node, from), "node.logout", `node:${node.id}`, { expiry: node.expiry }, { expiry: plan.now });
    }
    return { ok: true, value: () => undefined };
  };
}

export function shortenExpiry(
  state: TailnetState,
  machineKey: MachineKey,
  nodeKey: NodeKey,
  expiry: number,
  from?: string,
): Planner<Node> {
  return (plan) => {
    const own = ownNode(plan, machineKey, nodeKey);
    if (!own.ok) {
      return own;
    }
    const node = own.value;
    if (isExpired(node, plan.now) || (node.expiry !== null && expiry > node.expiry)) {
      return { ok: false, error: { code: "denied", text: "extending key is not allowed" } };
    }
    return change(state, plan, actorOf(node, from), "node.shorten-expiry", node, {
      expiry: Math.max(expiry, plan.now),
    });
  };
}

/** What follows from a changed hostinfo: a new name, and routes that auto-approvers grant. */
export function followHostinfo(state: TailnetState, id: NodeId): Planner<void> {
  return (plan) => {
    const node = plan.node(id);
    if (node !== undefined) {
      const givenName = renamed(plan, node, node.hostinfo.Hostname);
      const record = withAutoApproval(plan, { ...recordOf(node), givenName }, presenceOf(node));
      change(state, plan, actorOf(node), "node.hostinfo", node, record);
    }
    return { ok: true, value: () => undefined };
  };
}

/** Gives and takes addresses so that every node has one of each configured family, inside the configured prefixes. */
export function backfillAddresses(options: TailnetOptions, actor: Actor): Planner<readonly string[]> {
  return (plan) => {
    const lines: string[] = [];
    for (const node of plan.allNodes()) {
      const fields: { ipv4?: Node["ipv4"]; ipv6?: Node["ipv6"] } = {};
      for (const family of [4, 6] as const) {
        const prefix = family === 4 ? options.prefixV4 : options.prefixV6;
        const field = family === 4 ? "ipv4" : "ipv6";
        const has = node[field];
        const named = `Node(${node.id}) ${JSON.stringify(node.hostinfo.Hostname ?? node.givenName)}`;
        if (prefix === null && has !== null) {
          fields[field] = null;
          lines.push(`removing IPv${family} ${JSON.stringify(formatAddr(has))} from ${named}`);
        } else if (prefix !== null && has === null) {
          const pools = plan.policy.ipPools(policyNodeOf(node)).filter((pool) => pool.addr.family === family);
          const addr = plan.takeAddress(pools.length > 0 ? pools : [prefix]);
          if (addr === undefined) {
            return { ok: false, error: { code: "exhausted", text: "failed to allocate IP" } };
          }
          fields[field] = addr;
          lines.push(`assigned IPv${family} ${JSON.stringify(formatAddr(addr))} to ${named}`);
        }
      }
      if (Object.keys(fields).length > 0) {
        const record = { ...recordOf(node), ...fields };
        plan.putNode(record);
        plan.audit(actor, "node.addresses", `node:${node.id}`, shown(node), shown(record));
      }
    }
    return { ok: true, value: () => lines };
  };
}
