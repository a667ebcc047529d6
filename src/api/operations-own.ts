// What Hawser's interface has beyond headscale's: moving nodes, addresses, roles, who waits, policy history, audit.
import { parseAddr } from "../ip/index.ts";
import type { PendingEntry } from "../identity/pending.ts";
import type { UserRole } from "../policy/engine.ts";
import { formatHujson } from "../policy/hujson-format.ts";
import { describeHujsonError } from "../policy/hujson-hints.ts";
import type { Node } from "../tailnet/model.ts";
import type { NodeId, UserId } from "../wire/ids.ts";
import type { Json } from "../wire/tailcfg.ts";
import { operation } from "./operation.ts";
import type { Operation } from "./operation.ts";
import { auditOperations } from "./operations-audit.ts";
import { nodeAnswer } from "./operations-nodes.ts";
import { policyFault } from "./operations-policy.ts";
import {
  FormatPolicy,
  GetNodeDetails,
  ListPolicyHistory,
  ListWaiting,
  MoveNode,
  RollbackPolicy,
  SetNodeAddresses,
  SetUserRole,
} from "./own-calls.ts";
import { Waiting } from "./own-messages.ts";
import type { NodeDetailsValue, WaitingValue } from "./own-messages.ts";
import { createPresenter, presentUser } from "./present.ts";
import { answer, refusal, refuse } from "./rpc-error.ts";

const getNodeDetails = operation(GetNodeDetails, ({ tailnet }, { nodeId }) => {
  const node = tailnet.node(nodeId as NodeId);
  return node === undefined
    ? refuse("NotFound", "node not found")
    : answer(presentDetails(node, createPresenter(tailnet).node(node)));
});

function presentDetails(node: Node, shown: NodeDetailsValue["node"]): NodeDetailsValue {
  const { hostinfo } = node;
  const { extra, ...known } = hostinfo;
  return {
    node: shown,
    stableId: node.stableId,
    ephemeral: node.ephemeral,
    nameIsChosen: node.nameFixed,
    os: hostinfo.OS ?? "",
    osVersion: hostinfo.OSVersion ?? "",
    clientVersion: hostinfo.IPNVersion ?? "",
    capabilityVersion: node.capVersion,
    endpoints: node.endpoints,
    homeRegion: node.homeDerp,
    requestedTags: hostinfo.RequestTags ?? [],
    hostinfo: { ...extra, ...(known as { readonly [key: string]: Json }) },
  };
}

const moveNode = operation(MoveNode, async (deps, { nodeId, user }, { actor }) =>
  nodeAnswer(deps, await deps.tailnet.moveNode(actor, nodeId as NodeId, user as UserId)),
);

const setNodeAddresses = operation(SetNodeAddresses, async (deps, { nodeId, ipv4, ipv6 }, { actor }) => {
  const [v4, v6] = [parseAddr(ipv4), parseAddr(ipv6)];
  if ((ipv4 !== "" && v4?.family !== 4) || (ipv6 !== "" && v6?.family !== 6) || (ipv4 === "" && ipv6 === "")) {
    return refuse("InvalidArgument", "give an IPv4 address, an IPv6 address, or both");
  }
  const wanted = { ...(v4 === undefined ? {} : { ipv4: v4 }), ...(v6 === undefined ? {} : { ipv6: v6 }) };
  const result = await deps.tailnet.setAddresses(actor, nodeId as NodeId, wanted);
  return nodeAnswer(deps, result, { conflict: "AlreadyExists" });
});

const roles: readonly UserRole[] = [
  "owner",
  "admin",
  "it-admin",
  "network-admin",
  "billing-admin",
  "auditor",
  "member",
];

const setUserRole = operation(SetUserRole, async ({ tailnet }, { id, role }, { actor }) => {
  const known = roles.find((candidate) => candidate === role);
  if (known === undefined) {
    return refuse(
      "InvalidArgument",
      `unknown role ${JSON.stringify(role.slice(0, 80))}; roles are ${roles.join(", ")}`,
    );
  }
  const changed = await tailnet.setUserRole(actor, id as UserId, known);
  return changed.ok ? answer({ user: presentUser(changed.value) }) : refusal(changed.error);
});

const listWaiting = operation(ListWaiting, ({ pending }) => answer({ waiting: pending.list().map(presentWaiting) }));

function presentWaiting(entry: PendingEntry): WaitingValue {
  const common = {
    ...Waiting.unset,
    authId: entry.id,
    createdAt: entry.createdAt,
    expiresAt: entry.expiresAt,
    from: entry.source,
  };
  switch (entry.kind) {
    case "register": {
      const { hostinfo, machineKey, nodeKey } = entry.registration;
      return {
        ...common,
        kind: "MACHINE",
        hostname: hostinfo.Hostname ?? "",
        os: hostinfo.OS ?? "",
        machineKey,
        nodeKey,
        requestedTags: hostinfo.RequestTags ?? [],
      };
    }
    case "ssh-check":
      return {
        ...common,
        kind: "SSH_SESSION",
        sourceNode: entry.sourceNode,
        destinationNode: entry.destinationNode,
        localUser: entry.localUser,
      };
  }
}

const listPolicyHistory = operation(ListPolicyHistory, async ({ tailnet, policySource }) => {
  const versions = await tailnet.policyHistory();
  return answer({
    revisions: versions.map(({ id, text, setAt, setBy }) => ({ id, policy: text, setAt, setBy })),
    inForce: tailnet.policyVersion?.id ?? 0,
    problem: policySource.problem?.() ?? "",
  });
});

const rollbackPolicy = operation(RollbackPolicy, async ({ tailnet, policySource }, { id }, { actor }) => {
  if (policySource.mode !== "database") {
    return refuse("Unknown", "update is disabled for modes other than 'database'");
  }
  const earlier = (await tailnet.policyHistory()).find((version) => version.id === id);
  if (earlier === undefined) {
    return refuse("NotFound", `no policy ${id} in the history`);
  }
  const set = await tailnet.setPolicy(actor, earlier.text);
  return set.ok
    ? answer({ policy: set.value.text, updatedAt: set.value.setAt })
    : refusal(policyFault(set.error), {}, "setting policy: ");
});

const formatPolicy = operation(FormatPolicy, (_deps, { policy }) => {
  const formatted = formatHujson(policy);
  return formatted.ok
    ? answer({ policy: formatted.text })
    : refuse("InvalidArgument", describeHujsonError(policy, formatted.error));
});

export const ownOperations: readonly Operation[] = [
  getNodeDetails,
  moveNode,
  setNodeAddresses,
  setUserRole,
  listWaiting,
  listPolicyHistory,
  rollbackPolicy,
  formatPolicy,
  ...auditOperations,
];
