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
import { mapInTurns } from "./in-turns.ts";
import type { NodeValue } from "./messages.ts";
import { operation } from "./operation.ts";
import type { Operation, OperationDeps } from "./operation.ts";
import { createPresenter } from "./present.ts";
import { answer, refusal, refuse } from "./rpc-error.ts";
import type { Answer } from "./rpc-error.ts";
import { tagFault } from "../tailnet/tags.ts";
import { givenTime } from "./timestamp.ts";

type RefusalCodes = Parameters<typeof refusal>[1];

/** The answer of every command that changes one node. */
export function nodeAnswer(
  { tailnet }: OperationDeps,
  result: Result<Node>,
  codes?: RefusalCodes,
): Answer<{ readonly node: NodeValue }> {
  return result.ok ? answer({ node: createPresenter(tailnet).node(result.value) }) : refusal(result.error, codes);
}

const listNodes = operation(ListNodes, async ({ tailnet }, input) => {
  const presenter = createPresenter(tailnet);
  if (input.user === "") {
    return answer({ nodes: await mapInTurns(tailnet.nodes(), presenter.node) });
  }
  const owners = new Set(tailnet.usersByName(input.user).map((user) => user.id));
  if (owners.size === 0) {
    return refuse("Unknown", "user not found");
  }
  const owned = tailnet.nodes().filter((node) => node.userId !== null && owners.has(node.userId));
  return answer({ nodes: await mapInTurns(owned, presenter.node) });
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

/** Why a text is no prefix, in the form of Go's parser. */
export function prefixFault(text: string): string | undefined {
  if (parsePrefix(text) !== undefined) {
    return undefined;
  }
  return `netip.ParsePrefix(${JSON.stringify(text.slice(0, 80))}): ${text.includes("/") ? "bad prefix" : "no '/'"}`;
}

const setApprovedRoutes = operation(SetApprovedRoutes, async (deps, { nodeId, routes }, { actor }) => {
  const prefixes: Prefix[] = [];
  for (const text of routes) {
    const prefix = parsePrefix(text);
    if (prefix === undefined) {
      return refuse("Unknown", `parsing route: ${prefixFault(text) ?? ""}`);
    }
    prefixes.push(prefix);
  }
  const result = await deps.tailnet.setApprovedRoutes(actor, nodeId as NodeId, prefixes);
  return nodeAnswer(deps, result);
});

const expireNode = operation(ExpireNode, async (deps, { nodeId, expiry: asked, disableExpiry }, { actor }) => {
  const expiry = givenTime(asked);
  if (disableExpiry && expiry !== null) {
    return refuse("InvalidArgument", "cannot set both disable_expiry and expiry");
  }
  const until = disableExpiry ? null : (expiry ?? deps.clock.now());
  return nodeAnswer(deps, await deps.tailnet.expireNode(actor, nodeId as NodeId, until));
});

const renameNode = operation(RenameNode, async (deps, { nodeId, newName }, { actor }) => {
  const renamed = await deps.tailnet.renameNode(actor, nodeId as NodeId, newName);
  if (!renamed.ok && renamed.error.code === "invalid") {
    // Said twice, as headscale says it: scripts look for the first part.
    const lead = `renaming node: ${JSON.stringify(newName.slice(0, 80))} is not a valid DNS label`;
    return refuse("Unknown", `${lead}: ${renamed.error.text}`);
  }
  return nodeAnswer(deps, renamed);
});

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
