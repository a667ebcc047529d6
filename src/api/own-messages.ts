// Messages of calls that headscale does not have.
import { bool, enumeration, json, message, num, oneOf, str, strs, sub, subs, time, u64 } from "./message.ts";
import type { ValueOf } from "./message.ts";
import { Node, User } from "./messages.ts";

export const MoveNodeRequest = message("MoveNodeRequest", { nodeId: u64(1), user: u64(2, "Id of the new owner.") });
export const MoveNodeResponse = message("MoveNodeResponse", { node: sub(1, Node) });

export const SetNodeAddressesRequest = message("SetNodeAddressesRequest", {
  nodeId: u64(1),
  ipv4: str(2, "Left out: stays."),
  ipv6: str(3, "Left out: stays."),
});
export const SetNodeAddressesResponse = message("SetNodeAddressesResponse", { node: sub(1, Node) });

export const NodeDetails = message("NodeDetails", {
  node: sub(1, Node),
  stableId: str(2),
  ephemeral: bool(3),
  nameIsChosen: bool(4, "An admin named it, so its own hostname does not change the name any more."),
  os: str(5),
  osVersion: str(6),
  clientVersion: str(7),
  capabilityVersion: num(8),
  endpoints: strs(9),
  homeRegion: num(10, "Id of its home relay region; 0 is unknown."),
  requestedTags: strs(11),
  hostinfo: json(12, "All that the machine tells of itself, in the names of Tailscale's protocol."),
});
export type NodeDetailsValue = ValueOf<typeof NodeDetails>;
export const GetNodeDetailsRequest = message("GetNodeDetailsRequest", { nodeId: u64(1) });

export const SetUserRoleRequest = message("SetUserRoleRequest", { id: u64(1), role: str(2) });
export const SetUserRoleResponse = message("SetUserRoleResponse", { user: sub(1, User) });

export const WaitingKind = enumeration("WaitingKind", ["WAITING_KIND_UNSPECIFIED", "MACHINE", "SSH_SESSION"]);
export const Waiting = message("Waiting", {
  authId: str(1),
  kind: oneOf(2, WaitingKind),
  createdAt: time(3),
  expiresAt: time(4),
  from: str(5, "Network address that asked."),
  hostname: str(6),
  os: str(7),
  machineKey: str(8),
  nodeKey: str(9),
  requestedTags: strs(10),
  sourceNode: u64(11, "Of an SSH session."),
  destinationNode: u64(12, "Of an SSH session."),
  localUser: str(13, "Of an SSH session."),
});
export type WaitingValue = ValueOf<typeof Waiting>;
export const ListWaitingRequest = message("ListWaitingRequest", {});
export const ListWaitingResponse = message("ListWaitingResponse", { waiting: subs(1, Waiting) });

export const PolicyRevision = message("PolicyRevision", {
  id: u64(1),
  policy: str(2),
  setAt: time(3),
  setBy: str(4),
});
export type PolicyRevisionValue = ValueOf<typeof PolicyRevision>;
export const ListPolicyHistoryRequest = message("ListPolicyHistoryRequest", {});
export const ListPolicyHistoryResponse = message("ListPolicyHistoryResponse", {
  revisions: subs(1, PolicyRevision, "Newest first; the first is in force."),
});
export const RollbackPolicyRequest = message("RollbackPolicyRequest", { id: u64(1, "Revision to set again.") });
export const FormatPolicyRequest = message("FormatPolicyRequest", { policy: str(1) });
export const FormatPolicyResponse = message("FormatPolicyResponse", { policy: str(1) });

export const AuditEntry = message("AuditEntry", {
  id: u64(1),
  at: time(2),
  actorKind: str(3),
  actorId: str(4),
  from: str(5),
  action: str(6),
  target: str(7),
  before: json(8),
  after: json(9),
});
export type AuditEntryValue = ValueOf<typeof AuditEntry>;
export const ListAuditRequest = message("ListAuditRequest", {
  before: u64(1, "Only entries with a lower id."),
  limit: num(2, "At most 1000; left out: 100."),
});
export const ListAuditResponse = message("ListAuditResponse", { entries: subs(1, AuditEntry, "Newest first.") });
