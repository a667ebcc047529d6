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
  revisions: subs(1, PolicyRevision, "Newest first."),
  inForce: u64(2, "Which of them is in force; 0: none."),
  problem: str(
    3,
    "Why something else is in force than the newest revision or the policy file; empty when all is well.",
  ),
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
  previousHash: str(10, "Hash of the entry before."),
  hash: str(11, "SHA-256 over the previous hash and this entry; docs/headscale.md has the exact form."),
});
export type AuditEntryValue = ValueOf<typeof AuditEntry>;
export const ListAuditRequest = message("ListAuditRequest", {
  before: u64(1, "Only entries with a lower id."),
  limit: num(2, "At most 1000; left out: 100. Large entries make a page end earlier."),
  after: u64(3, "Only entries with a higher id, oldest first."),
  oldestFirst: bool(4, "From the beginning of the log."),
});
export const ListAuditResponse = message("ListAuditResponse", {
  entries: subs(1, AuditEntry, "Newest first, unless `after` or `oldestFirst` is given."),
});

export const AuditFault = message("AuditFault", {
  id: u64(1, "The entry that does not fit; 0: the log as a whole."),
  text: str(2),
});
export const VerifyAuditRequest = message("VerifyAuditRequest", {
  noted: str(1, "A hash that was written down earlier: the log must hold it."),
});
export const VerifyAuditResponse = message("VerifyAuditResponse", {
  ok: bool(1),
  entries: u64(2),
  headId: u64(3, "The newest entry."),
  headHash: str(4, "Worth writing down elsewhere: it stands for the whole log up to here."),
  anchorId: u64(5, "The last entry that the retention time took; 0: none."),
  anchorHash: str(6),
  faults: subs(7, AuditFault, "At most 100."),
});
export type VerifyAuditValue = ValueOf<typeof VerifyAuditResponse>;

export const ExplainPolicyRequest = message("ExplainPolicyRequest", {
  src: str(1, "A node's name or id, an address, a user, group:… or tag:…"),
  dst: str(2, "The same, with or without :port."),
  protocol: str(3, "Name or number; left out: any."),
  sshUser: str(4, "Ask for SSH as this user, too."),
  policy: str(5, "A draft to ask instead of the policy in force."),
});
export const PolicyEnd = message("PolicyEnd", {
  node: u64(1, "0: an address of no node."),
  name: str(2),
  address: str(3),
  user: str(4),
  tags: strs(5),
});
export const PolicyRuleMatch = message("PolicyRuleMatch", {
  section: str(1, "acls or grants."),
  index: num(2, "From 0, in its section."),
  line: num(3),
  column: num(4),
  source: str(5, "The selector that the source is among, as written."),
  sourceThrough: str(6, "How it is among it."),
  destination: str(7),
  destinationThrough: str(8),
  ports: str(9),
  posture: str(10),
});
export const PolicyRuleMiss = message("PolicyRuleMiss", {
  section: str(1),
  index: num(2),
  line: num(3),
  column: num(4),
  missing: str(5, "What alone was missing: port, protocol, posture, destination or source."),
  text: str(6),
});
export const PolicySshAnswer = message("PolicySshAnswer", {
  allowed: bool(1),
  action: str(2, "accept or check."),
  checkPeriodMs: num(3, "0: asked every time."),
  network: bool(4, "Whether packets get there at all (TCP 22)."),
  line: num(5, "Of the rule that decides."),
  source: str(6),
  misses: strs(7),
});
export const PolicyAnswer = message("PolicyAnswer", {
  allowed: bool(1),
  src: sub(2, PolicyEnd),
  dst: sub(3, PolicyEnd),
  port: num(4, "0: any."),
  protocol: num(5, "0: any."),
  by: subs(6, PolicyRuleMatch, "The rules that allow it."),
  misses: subs(7, PolicyRuleMiss, "When denied: rules that came near, nearest first."),
  reasons: strs(8, "When denied: what holds for all rules."),
  router: str(9, "Name of the node that the packets go through."),
  route: str(10),
  visible: bool(11, "Whether the source is told of the destination (or its router) at all."),
  ssh: sub(12, PolicySshAnswer),
});
export type PolicyAnswerValue = ValueOf<typeof PolicyAnswer>;
export const ExplainPolicyResponse = message("ExplainPolicyResponse", {
  answers: subs(1, PolicyAnswer),
  more: num(2, "Pairs that were left out because there are too many."),
});

export const PreviewPolicyRequest = message("PreviewPolicyRequest", { policy: str(1) });
export const PolicyNodeGroup = message("PolicyNodeGroup", {
  count: num(1),
  nodes: strs(2, "The first few names."),
  users: strs(3),
  tags: strs(4),
  behind: bool(5, "Not the nodes themselves but the networks behind them."),
});
export type PolicyNodeGroupValue = ValueOf<typeof PolicyNodeGroup>;
export const PolicyAccessChange = message("PolicyAccessChange", {
  src: sub(1, PolicyNodeGroup),
  dst: sub(2, PolicyNodeGroup),
  ownDevices: bool(3, "Only between devices of one and the same person."),
  gained: strs(4),
  lost: strs(5),
});
export type PolicyAccessChangeValue = ValueOf<typeof PolicyAccessChange>;
export const PolicyAttributeChange = message("PolicyAttributeChange", {
  nodes: sub(1, PolicyNodeGroup),
  gained: strs(2),
  lost: strs(3),
});
export const PreviewPolicyResponse = message("PreviewPolicyResponse", {
  access: subs(1, PolicyAccessChange),
  ssh: subs(2, PolicyAccessChange),
  attributes: subs(3, PolicyAttributeChange),
  pairsGaining: num(4, "Ordered pairs of nodes of which the one may do more to the other."),
  pairsLosing: num(5),
  more: num(6, "Changes that are counted but not listed."),
  warnings: strs(7),
});
export type PreviewPolicyValue = ValueOf<typeof PreviewPolicyResponse>;
