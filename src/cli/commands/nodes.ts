import {
  BackfillNodeIPs,
  DeleteNode,
  ExpireNode,
  GetNode,
  ListNodes,
  RenameNode,
  SetApprovedRoutes,
  SetTags,
} from "../../api/calls.ts";
import { BackfillNodeIPsResponse, Node } from "../../api/messages.ts";
import type { NodeValue } from "../../api/messages.ts";
import { GetNodeDetails, MoveNode, SetNodeAddresses } from "../../api/own-calls.ts";
import { parseTimestamp } from "../../api/timestamp.ts";
import { CliError } from "../cli-error.ts";
import { parseDuration } from "../durations.ts";
import type { Invocation } from "../invocation.ts";
import { nodeId, oneNode, userId } from "../look-up.ts";
import { many, one, plain, result } from "../output-shapes.ts";
import { nodeDetails, nodeTable, routeTable } from "./node-tables.ts";

export async function listNodes(run: Invocation): Promise<void> {
  const [operand] = run.operands;
  const single = run.flags.text("identifier") || operand;
  const client = await run.client();
  if (single !== undefined && single !== "") {
    const node = await oneNode(client, single, "getting node");
    const details = await client.call(GetNodeDetails, { nodeId: node.id }, "getting node");
    run.answer(one(Node, node), nodeDetails(node, details, run.io));
    return;
  }
  const { nodes } = await client.call(ListNodes, { user: run.flags.text("user") }, "listing nodes");
  run.answer(many(Node, nodes), () => nodeTable(nodes, run.io));
}

export async function expireNode(run: Invocation): Promise<void> {
  const { flags } = run;
  const disable = flags.on("disable");
  const expiry = disable ? null : expiryFlag(run);
  const doing = disable ? "disabling node expiry" : "expiring node";
  const client = await run.client();
  const id = await nodeId(client, flags, doing);
  const { node } = await client.call(ExpireNode, { nodeId: id, expiry, disableExpiry: disable }, doing);
  const inFuture = expiry !== null && expiry > run.io.now();
  const text = disable ? "Node expiry disabled" : inFuture ? "Node expiration updated" : "Node expired";
  run.answer(one(Node, node ?? Node.unset), text);
}

/** --expiry: a time, or how long from now. */
function expiryFlag(run: Invocation): number | null {
  const text = run.flags.text("expiry");
  if (text === "") {
    return null;
  }
  const duration = parseDuration(text);
  const at = parseTimestamp(text) ?? (duration === undefined ? undefined : run.io.now() + duration);
  if (at === undefined) {
    throw new CliError(`parsing expiry time: ${JSON.stringify(text)} is not a time like 2026-12-31T12:00:00Z`);
  }
  return at;
}

export async function renameNode(run: Invocation): Promise<void> {
  const [newName = ""] = run.operands;
  const client = await run.client();
  const id = await nodeId(client, run.flags, "renaming node");
  if (newName === "") {
    throw new CliError("renaming node: the new name is missing: nodes rename --identifier ID NEW_NAME");
  }
  const { node } = await client.call(RenameNode, { nodeId: id, newName }, "renaming node");
  run.answer(one(Node, node ?? Node.unset), "Node renamed");
}

export async function deleteNode(run: Invocation): Promise<void> {
  const client = await run.client();
  const id = await nodeId(client, run.flags, "getting node");
  const { node } = await client.call(GetNode, { nodeId: id }, "getting node");
  if (!(await run.confirm(`Do you want to remove the node ${node?.name ?? id}?`))) {
    run.answer(result("Node not deleted"), "Node not deleted");
    return;
  }
  await client.call(DeleteNode, { nodeId: id }, "deleting node");
  run.answer(result("Node deleted"), "Node deleted");
}

export async function tagNode(run: Invocation): Promise<void> {
  const client = await run.client();
  const id = await nodeId(client, run.flags, "setting tags");
  const { node } = await client.call(SetTags, { nodeId: id, tags: run.flags.list("tags") }, "setting tags");
  run.answer(one(Node, node ?? Node.unset), "Node updated");
}

export async function moveNode(run: Invocation): Promise<void> {
  const client = await run.client();
  const id = await nodeId(client, run.flags, "moving node");
  const user = await userId(client, run.flags.text("user"), "moving node");
  const { node } = await client.call(MoveNode, { nodeId: id, user }, "moving node");
  run.answer(one(Node, node ?? Node.unset), "Node moved to another user");
}

export async function setAddresses(run: Invocation): Promise<void> {
  const { flags } = run;
  const client = await run.client();
  const input = {
    nodeId: await nodeId(client, flags, "setting addresses"),
    ipv4: flags.text("ipv4"),
    ipv6: flags.text("ipv6"),
  };
  const { node } = await client.call(SetNodeAddresses, input, "setting addresses");
  run.answer(one(Node, node ?? Node.unset), "Node updated");
}

export async function approveRoutes(run: Invocation): Promise<void> {
  const client = await run.client();
  const id = await nodeId(client, run.flags, "setting approved routes");
  const routes = run.flags.list("routes");
  const { node } = await client.call(SetApprovedRoutes, { nodeId: id, routes }, "setting approved routes");
  run.answer(one(Node, node ?? Node.unset), "Node updated");
}

function hasRoutes(node: NodeValue): boolean {
  return node.approvedRoutes.length + node.availableRoutes.length + node.subnetRoutes.length > 0;
}

/** Also what older guides write: `nodes routes list|enable|disable`, `routes list|enable|disable`. */
export async function listRoutes(run: Invocation): Promise<void> {
  const [word] = run.operands;
  if (word === "enable" || word === "disable" || word === "delete") {
    await changeRoutes(run, word);
    return;
  }
  const client = await run.client();
  const { nodes } = await client.call(ListNodes, {}, "listing nodes");
  const wanted = run.flags.text("identifier");
  const chosen = wanted === "" || wanted === "0" ? nodes : [await oneNode(client, wanted, "getting node")];
  const shown = chosen.filter(hasRoutes);
  run.answer(shown.length === 0 ? plain([]) : many(Node, shown), () => routeTable(shown, run.io));
}

async function changeRoutes(run: Invocation, word: "enable" | "disable" | "delete"): Promise<void> {
  const routes = [...run.flags.list("route"), ...run.flags.list("routes"), ...run.operands.slice(1)];
  run.note("note: today's spelling is: nodes approve-routes --identifier ID --routes A,B (the whole list)");
  if (!run.flags.given("identifier") || routes.length === 0 || routes.some((route) => !route.includes("/"))) {
    throw new CliError(
      'routes have no numbers any more; name the node and the prefix: nodes approve-routes --identifier ID --routes PREFIX ("nodes list-routes" shows them)',
    );
  }
  const client = await run.client();
  const before = await oneNode(client, run.flags.text("identifier"), "getting node");
  const kept = before.approvedRoutes.filter((route) => !routes.includes(route));
  const wanted = word === "enable" ? [...kept, ...routes] : kept;
  const { node } = await client.call(
    SetApprovedRoutes,
    { nodeId: before.id, routes: wanted },
    "setting approved routes",
  );
  run.answer(one(Node, node ?? Node.unset), "Node updated");
}

export async function backfillIps(run: Invocation): Promise<void> {
  if (!(await run.confirm("Are you sure that you want to assign/remove IPs to/from nodes?"))) {
    return;
  }
  const client = await run.client();
  const response = await client.call(BackfillNodeIPs, { confirmed: true }, "backfilling IPs");
  run.answer(one(BackfillNodeIPsResponse, response), "Node IPs backfilled successfully");
}
