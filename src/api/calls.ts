// The 29 calls of headscale's service with their REST forms: headscale reference §3.1–3.2.
import { declareCall } from "./call.ts";
import type { Call, CallDeclaration } from "./call.ts";
import type { MessageType } from "./message.ts";
import * as m from "./messages.ts";

function call<Input extends object, Output extends object>(
  name: string,
  request: MessageType<Input>,
  response: MessageType<Output>,
  declaration: CallDeclaration,
): Call<Input, Output> {
  return declareCall(name, request, response, declaration, true);
}

export const Health = call("Health", m.HealthRequest, m.HealthResponse, {
  route: "GET /health",
  scope: "server:read",
  about: "Whether the database answers.",
});

export const CreateUser = call("CreateUser", m.CreateUserRequest, m.CreateUserResponse, {
  route: "POST /user",
  scope: "users:write",
  about: "Creates a user.",
});
export const ListUsers = call("ListUsers", m.ListUsersRequest, m.ListUsersResponse, {
  route: "GET /user",
  scope: "users:read",
  about: "Lists users by id; one of name, email, id narrows it, in this order.",
});
export const RenameUser = call("RenameUser", m.RenameUserRequest, m.RenameUserResponse, {
  route: "POST /user/{old_id}/rename/{new_name}",
  scope: "users:write",
  about: "Renames a user.",
});
export const DeleteUser = call("DeleteUser", m.DeleteUserRequest, m.DeleteUserResponse, {
  route: "DELETE /user/{id}",
  scope: "users:write",
  about: "Deletes a user who owns no nodes, and the user's pre-auth keys.",
});

export const CreatePreAuthKey = call("CreatePreAuthKey", m.CreatePreAuthKeyRequest, m.CreatePreAuthKeyResponse, {
  route: "POST /preauthkey",
  scope: "authkeys:write",
  about: "Creates a pre-auth key; the answer is the only time the whole key is shown.",
});
export const ListPreAuthKeys = call("ListPreAuthKeys", m.ListPreAuthKeysRequest, m.ListPreAuthKeysResponse, {
  route: "GET /preauthkey",
  scope: "authkeys:read",
  about: "Lists pre-auth keys, masked.",
});
export const ExpirePreAuthKey = call("ExpirePreAuthKey", m.ExpirePreAuthKeyRequest, m.ExpirePreAuthKeyResponse, {
  route: "POST /preauthkey/expire",
  scope: "authkeys:write",
  about: "Ends a pre-auth key now.",
});
export const DeletePreAuthKey = call("DeletePreAuthKey", m.DeletePreAuthKeyRequest, m.DeletePreAuthKeyResponse, {
  route: "DELETE /preauthkey",
  scope: "authkeys:write",
  about: "Deletes a pre-auth key.",
});

export const ListNodes = call("ListNodes", m.ListNodesRequest, m.ListNodesResponse, {
  route: "GET /node",
  scope: "nodes:read",
  about: "Lists nodes by id; `user` narrows it to those of one owner.",
});
export const GetNode = call("GetNode", m.GetNodeRequest, m.GetNodeResponse, {
  route: "GET /node/{node_id}",
  scope: "nodes:read",
  about: "One node.",
});
export const DeleteNode = call("DeleteNode", m.DeleteNodeRequest, m.DeleteNodeResponse, {
  route: "DELETE /node/{node_id}",
  scope: "nodes:write",
  about: "Deletes a node.",
});
export const SetTags = call("SetTags", m.SetTagsRequest, m.SetTagsResponse, {
  route: "POST /node/{node_id}/tags",
  scope: "nodes:write",
  about: "Replaces a node's tags; a tagged node has no owner.",
});
export const SetApprovedRoutes = call("SetApprovedRoutes", m.SetApprovedRoutesRequest, m.SetApprovedRoutesResponse, {
  route: "POST /node/{node_id}/approve_routes",
  scope: "nodes:write",
  about: "Replaces a node's approved routes; either of 0.0.0.0/0 and ::/0 stands for both.",
});
export const ExpireNode = call("ExpireNode", m.ExpireNodeRequest, m.ExpireNodeResponse, {
  route: "POST /node/{node_id}/expire",
  scope: "nodes:write",
  about: "Sets or removes the end of a node's key.",
  input: "query or body",
});
export const RenameNode = call("RenameNode", m.RenameNodeRequest, m.RenameNodeResponse, {
  route: "POST /node/{node_id}/rename/{new_name}",
  scope: "nodes:write",
  about: "Gives a node another name in DNS.",
});
export const RegisterNode = call("RegisterNode", m.RegisterNodeRequest, m.RegisterNodeResponse, {
  route: "POST /node/register",
  scope: "auth:write",
  about: "Lets a waiting machine join as a user's node (older form of /auth/register).",
  input: "query or body",
});
export const BackfillNodeIPs = call("BackfillNodeIPs", m.BackfillNodeIPsRequest, m.BackfillNodeIPsResponse, {
  route: "POST /node/backfillips",
  scope: "nodes:write",
  about: "Gives nodes the addresses that the configured prefixes call for.",
  input: "query or body",
});
export const DebugCreateNode = call("DebugCreateNode", m.DebugCreateNodeRequest, m.DebugCreateNodeResponse, {
  route: "POST /debug/node",
  scope: "nodes:write",
  about: "Queues a made-up machine as if it asked to join.",
});

export const AuthRegister = call("AuthRegister", m.AuthRegisterRequest, m.AuthRegisterResponse, {
  route: "POST /auth/register",
  scope: "auth:write",
  about: "Lets a waiting machine join as a user's node.",
});
export const AuthApprove = call("AuthApprove", m.AuthApproveRequest, m.AuthApproveResponse, {
  route: "POST /auth/approve",
  scope: "auth:write",
  about: "Approves a waiting SSH session.",
});
export const AuthReject = call("AuthReject", m.AuthRejectRequest, m.AuthRejectResponse, {
  route: "POST /auth/reject",
  scope: "auth:write",
  about: "Rejects a waiting machine or SSH session.",
});

export const CreateApiKey = call("CreateApiKey", m.CreateApiKeyRequest, m.CreateApiKeyResponse, {
  route: "POST /apikey",
  scope: "apikeys:write",
  about: "Creates an API key; the answer is the only time it is shown.",
});
export const ListApiKeys = call("ListApiKeys", m.ListApiKeysRequest, m.ListApiKeysResponse, {
  route: "GET /apikey",
  scope: "apikeys:read",
  about: "Lists API keys, masked.",
});
export const ExpireApiKey = call("ExpireApiKey", m.ExpireApiKeyRequest, m.ExpireApiKeyResponse, {
  route: "POST /apikey/expire",
  scope: "apikeys:write",
  about: "Ends an API key now, by id or prefix.",
});
export const DeleteApiKey = call("DeleteApiKey", m.DeleteApiKeyRequest, m.DeleteApiKeyResponse, {
  route: "DELETE /apikey/{prefix}",
  scope: "apikeys:write",
  about: "Deletes an API key, by id or prefix.",
});

export const GetPolicy = call("GetPolicy", m.GetPolicyRequest, m.GetPolicyResponse, {
  route: "GET /policy",
  scope: "policy:read",
  about: "The policy as its author wrote it.",
});
export const SetPolicy = call("SetPolicy", m.SetPolicyRequest, m.SetPolicyResponse, {
  route: "PUT /policy",
  scope: "policy:write",
  about: "Replaces the policy (policy.mode: database).",
});
export const CheckPolicy = call("CheckPolicy", m.CheckPolicyRequest, m.CheckPolicyResponse, {
  route: "POST /policy/check",
  scope: "policy:read",
  about: "Checks a policy and runs its tests without setting it.",
});
