// Calls that headscale does not have (or no longer has); REST only.
import { declareCall } from "./call.ts";
import type { Call, CallDeclaration } from "./call.ts";
import type { MessageType } from "./message.ts";
import { SetPolicyResponse } from "./messages.ts";
import * as m from "./own-messages.ts";

function call<Input extends object, Output extends object>(
  name: string,
  request: MessageType<Input>,
  response: MessageType<Output>,
  declaration: CallDeclaration,
): Call<Input, Output> {
  return declareCall(name, request, response, declaration, false);
}

export const GetNodeDetails = call("GetNodeDetails", m.GetNodeDetailsRequest, m.NodeDetails, {
  route: "GET /node/{node_id}/details",
  scope: "nodes:read",
  about: "One node with what its machine tells of itself.",
});
export const MoveNode = call("MoveNode", m.MoveNodeRequest, m.MoveNodeResponse, {
  route: "POST /node/{node_id}/user",
  scope: "nodes:write",
  about: "Gives a node to another user.",
});
export const SetNodeAddresses = call("SetNodeAddresses", m.SetNodeAddressesRequest, m.SetNodeAddressesResponse, {
  route: "POST /node/{node_id}/addresses",
  scope: "nodes:write",
  about: "Gives a node other addresses.",
});
export const SetUserRole = call("SetUserRole", m.SetUserRoleRequest, m.SetUserRoleResponse, {
  route: "POST /user/{id}/role",
  scope: "users:write",
  about: "Sets what a user may do on this server.",
});
export const ListWaiting = call("ListWaiting", m.ListWaitingRequest, m.ListWaitingResponse, {
  route: "GET /auth",
  scope: "auth:read",
  about: "Who waits to join or to open an SSH session, oldest first.",
});
export const ListPolicyHistory = call("ListPolicyHistory", m.ListPolicyHistoryRequest, m.ListPolicyHistoryResponse, {
  route: "GET /policy/history",
  scope: "policy:read",
  about: "The policies that were set, newest first.",
});
export const RollbackPolicy = call("RollbackPolicy", m.RollbackPolicyRequest, SetPolicyResponse, {
  route: "POST /policy/rollback",
  scope: "policy:write",
  about: "Sets an earlier policy again (policy.mode: database).",
});
export const FormatPolicy = call("FormatPolicy", m.FormatPolicyRequest, m.FormatPolicyResponse, {
  route: "POST /policy/format",
  scope: "policy:read",
  about: "The same policy, laid out evenly; comments stay.",
});
export const ListAudit = call("ListAudit", m.ListAuditRequest, m.ListAuditResponse, {
  route: "GET /audit",
  scope: "audit:read",
  about: "Who changed what, newest first.",
});
export const VerifyAudit = call("VerifyAudit", m.VerifyAuditRequest, m.VerifyAuditResponse, {
  route: "GET /audit/verify",
  scope: "audit:read",
  about: "Reads the whole audit log and tells whether any of it was changed, removed or added past the server.",
});
export const ExplainPolicy = call("ExplainPolicy", m.ExplainPolicyRequest, m.ExplainPolicyResponse, {
  route: "POST /policy/explain",
  scope: "policy:read",
  about: "Whether one may reach the other, by which rule, or what is missing.",
});
export const PreviewPolicy = call("PreviewPolicy", m.PreviewPolicyRequest, m.PreviewPolicyResponse, {
  route: "POST /policy/preview",
  scope: "policy:read",
  about: "What putting a policy in force would change: who gains and who loses what.",
});
