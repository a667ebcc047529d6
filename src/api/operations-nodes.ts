// Nodes: reading, naming, tags, routes, expiry, addresses.
import { parsePrefix } from "../ip/index.ts";
import type { Prefix } from "../ip/index.ts";
import type { Result } from "../tailnet/contract.ts";
import type { Node } from "../tailnet/model.ts";
import type { NodeId } from "../wire/ids.ts";
import {
  BackfillNodeIPs,
  DeleteNode,
  ExpireNode,
  GetNode,
  ListNodes,
  RenameNode,
  SetApprovedRoutes,
  SetTags,
} from "./calls.ts";
import type { NodeValue } from "./messages.ts";
import { operation } from "./operation.ts";
import type { Operation, OperationDeps } from "./operation.ts";
import { createPresenter } from "./present.ts";
import { answer, refusal, refuse } from "./rpc-error.ts";
import type { Answer } from "./rpc-error.ts";
import { tagFault } from "../tailnet/tags.ts";

type RefusalCodes = Parameters<typeof refusal>[1];

/** The answer of every command that changes one node. */
export function nodeAnswer(
  { tailnet }: OperationDeps,
  result: Result<Node>,
  codes?: RefusalCodes,
): Answer<{ readonly node: NodeValue }> {
  return result.ok ? answer({ node: createPresenter(tailnet).node(result.value) }) : refusal(result.error, codes);
}

const listNodes = operation(ListNodes, ({ tailnet }, input) => {
  const presenter = createPresenter(tailnet);
  if (input.user === "") {
    return answer({ nodes: tailnet.nodes().map(presenter.node) });
  }
  const owners = new Set(tailnet.usersByName(input.user).map((user) => user.id));
  if (owners.size === 0) {
    return refuse("Unknown", "user not found");
  }
  const owned = tailnet.nodes().filter((node) => node.userId !== null && owners.has(node.userId));
  return answer({ nodes: owned.map(presenter.node) });
});

const getNode = operation(GetNode, (deps, { nodeId }) => {
  const node = deps.tailnet.node(nodeId as NodeId);
  return node === undefined ? refuse("NotFound", "node not found") : nodeAnswer(deps, { ok: true, value: node });
});

const deleteNode = operation(DeleteNode, async ({ tailnet }, { nodeId }, { actor }) => {
  const deleted = await tailnet.deleteNode(actor, nodeId as NodeId);
  return deleted.ok ? answer({}) : refusal(deleted.error);
});

const setTags = operation(SetTags, async (deps, { nodeId, tags }, { actor }) => {
  if (tags.length === 0) {
    return refuse("InvalidArgument", "cannot remove all tags from a node - tagged nodes must have at least one tag");
  }
  const fault = tags.map(tagFault).find((text) => text !== undefined);
  if (fault !== undefined) {
    return refuse("Unknown", fault);
  }
  return nodeAnswer(deps, await deps.tailnet.setTags(actor, nodeId as NodeId, tags));
});

const setApprovedRoutes = operation(SetApprovedRoutes, async (deps, { nodeId, routes }, { actor }) => {
  const prefixes: Prefix[] = [];
  for (const text of routes) {
    const prefix = parsePrefix(text);
    if (prefix === undefined) {
      const reason = text.includes("/") ? "bad prefix" : "no '/'";
      return refuse("Unknown", `parsing route: netip.ParsePrefix(${JSON.stringify(text.slice(0, 80))}): ${reason}`);
    }
    prefixes.push(prefix);
  }
  const result = await deps.tailnet.setApprovedRoutes(actor, nodeId as NodeId, prefixes);
  return nodeAnswer(deps, result);
});

const expireNode = operation(ExpireNode, async (deps, { nodeId, expiry, disableExpiry }, { actor }) => {
  if (disableExpiry && expiry !== null) {
    return refuse("InvalidArgument", "cannot set both disable_expiry and expiry");
  }
  const until = disableExpiry ? null : (expiry ?? deps.clock.now());
  return nodeAnswer(deps, await deps.tailnet.expireNode(actor, nodeId as NodeId, until));
});

const renameNode = operation(RenameNode, async (deps, { nodeId, newName }, { actor }) =>
  nodeAnswer(deps, await deps.tailnet.renameNode(actor, nodeId as NodeId, newName), { invalid: "Unknown" }),
);

const backfillNodeIPs = operation(BackfillNodeIPs, async ({ tailnet }, { confirmed }, { actor }) => {
  if (!confirmed) {
    return refuse("Unknown", "not confirmed, aborting");
  }
  const done = await tailnet.backfillAddresses(actor);
  return done.ok ? answer({ changes: done.value }) : refusal(done.error);
});

export const nodeOperations: readonly Operation[] = [
  listNodes,
  getNode,
  deleteNode,
  setTags,
  setApprovedRoutes,
  expireNode,
  renameNode,
  backfillNodeIPs,
];
