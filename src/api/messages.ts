// headscale's messages (package `headscale.v1`), with its names and numbers: headscale reference §3.1. Numbers from 100
// on are Hawser's own additions, which headscale's clients skip over.
import { bool, enumeration, message, oneOf, str, strs, sub, subs, time, u64 } from "./message.ts";
import type { ValueOf } from "./message.ts";

export const RegisterMethod = enumeration("RegisterMethod", [
  "REGISTER_METHOD_UNSPECIFIED",
  "REGISTER_METHOD_AUTH_KEY",
  "REGISTER_METHOD_CLI",
  "REGISTER_METHOD_OIDC",
]);

export const User = message("User", {
  id: u64(1),
  name: str(2),
  createdAt: time(3),
  displayName: str(4),
  email: str(5),
  providerId: str(6),
  provider: str(7),
  profilePicUrl: str(8),
  role: str(100, "owner, admin, it-admin, network-admin, billing-admin, auditor; empty: an ordinary member."),
});
export type UserValue = ValueOf<typeof User>;

export const CreateUserRequest = message("CreateUserRequest", {
  name: str(1),
  displayName: str(2),
  email: str(3),
  pictureUrl: str(4),
});
export const CreateUserResponse = message("CreateUserResponse", { user: sub(1, User) });
export const RenameUserRequest = message("RenameUserRequest", { oldId: u64(1), newName: str(2) });
export const RenameUserResponse = message("RenameUserResponse", { user: sub(1, User) });
export const DeleteUserRequest = message("DeleteUserRequest", { id: u64(1) });
export const DeleteUserResponse = message("DeleteUserResponse", {});
export const ListUsersRequest = message("ListUsersRequest", { id: u64(1), name: str(2), email: str(3) });
export const ListUsersResponse = message("ListUsersResponse", { users: subs(1, User) });

export const PreAuthKey = message("PreAuthKey", {
  user: sub(1, User),
  id: u64(2),
  key: str(3, "The whole key when it was just created, else masked."),
  reusable: bool(4),
  ephemeral: bool(5),
  used: bool(6),
  expiration: time(7),
  createdAt: time(8),
  aclTags: strs(9),
});
export type PreAuthKeyValue = ValueOf<typeof PreAuthKey>;

export const CreatePreAuthKeyRequest = message("CreatePreAuthKeyRequest", {
  user: u64(1, "Id of the owner; 0 for a key with tags and no owner."),
  reusable: bool(2),
  ephemeral: bool(3),
  expiration: time(4, "Left out: in one hour."),
  aclTags: strs(5),
  neverExpires: bool(100, "The key has no end; `expiration` is not read."),
});
export const CreatePreAuthKeyResponse = message("CreatePreAuthKeyResponse", { preAuthKey: sub(1, PreAuthKey) });
export const ExpirePreAuthKeyRequest = message("ExpirePreAuthKeyRequest", { id: u64(1) });
export const ExpirePreAuthKeyResponse = message("ExpirePreAuthKeyResponse", {});
export const DeletePreAuthKeyRequest = message("DeletePreAuthKeyRequest", { id: u64(1) });
export const DeletePreAuthKeyResponse = message("DeletePreAuthKeyResponse", {});
export const ListPreAuthKeysRequest = message("ListPreAuthKeysRequest", {});
export const ListPreAuthKeysResponse = message("ListPreAuthKeysResponse", { preAuthKeys: subs(1, PreAuthKey) });

export const Node = message("Node", {
  id: u64(1),
  machineKey: str(2),
  nodeKey: str(3),
  discoKey: str(4),
  ipAddresses: strs(5),
  name: str(6, "What the machine calls itself."),
  user: sub(7, User),
  lastSeen: time(8),
  expiry: time(10),
  preAuthKey: sub(11, PreAuthKey),
  createdAt: time(12),
  registerMethod: oneOf(13, RegisterMethod),
  givenName: str(21, "The name in DNS."),
  online: bool(22),
  approvedRoutes: strs(23),
  availableRoutes: strs(24, "Advertised by the node."),
  subnetRoutes: strs(25, "Served now: the prefixes it is primary for, and its approved exit routes."),
  tags: strs(26),
});
export type NodeValue = ValueOf<typeof Node>;

export const GetNodeRequest = message("GetNodeRequest", { nodeId: u64(1) });
export const GetNodeResponse = message("GetNodeResponse", { node: sub(1, Node) });
export const ListNodesRequest = message("ListNodesRequest", { user: str(1, "Name of the owner.") });
export const ListNodesResponse = message("ListNodesResponse", { nodes: subs(1, Node) });
export const SetTagsRequest = message("SetTagsRequest", { nodeId: u64(1), tags: strs(2) });
export const SetTagsResponse = message("SetTagsResponse", { node: sub(1, Node) });
export const SetApprovedRoutesRequest = message("SetApprovedRoutesRequest", { nodeId: u64(1), routes: strs(2) });
export const SetApprovedRoutesResponse = message("SetApprovedRoutesResponse", { node: sub(1, Node) });
export const DeleteNodeRequest = message("DeleteNodeRequest", { nodeId: u64(1) });
export const DeleteNodeResponse = message("DeleteNodeResponse", {});
export const ExpireNodeRequest = message("ExpireNodeRequest", {
  nodeId: u64(1),
  expiry: time(2, "Left out: now."),
  disableExpiry: bool(3),
});
export const ExpireNodeResponse = message("ExpireNodeResponse", { node: sub(1, Node) });
export const RenameNodeRequest = message("RenameNodeRequest", { nodeId: u64(1), newName: str(2) });
export const RenameNodeResponse = message("RenameNodeResponse", { node: sub(1, Node) });
export const RegisterNodeRequest = message("RegisterNodeRequest", {
  user: str(1, "Name of the owner."),
  key: str(2, "The auth id of the waiting machine."),
});
export const RegisterNodeResponse = message("RegisterNodeResponse", { node: sub(1, Node) });
export const BackfillNodeIPsRequest = message("BackfillNodeIPsRequest", { confirmed: bool(1) });
export const BackfillNodeIPsResponse = message("BackfillNodeIPsResponse", { changes: strs(1) });
export const DebugCreateNodeRequest = message("DebugCreateNodeRequest", {
  user: str(1),
  key: str(2),
  name: str(3),
  routes: strs(4),
});
export const DebugCreateNodeResponse = message("DebugCreateNodeResponse", { node: sub(1, Node) });

export const AuthRegisterRequest = message("AuthRegisterRequest", { user: str(1), authId: str(2) });
export const AuthRegisterResponse = message("AuthRegisterResponse", { node: sub(1, Node) });
export const AuthApproveRequest = message("AuthApproveRequest", { authId: str(1) });
export const AuthApproveResponse = message("AuthApproveResponse", {});
export const AuthRejectRequest = message("AuthRejectRequest", { authId: str(1) });
export const AuthRejectResponse = message("AuthRejectResponse", {});

export const ApiKey = message("ApiKey", {
  id: u64(1),
  prefix: str(2),
  expiration: time(3),
  createdAt: time(4),
  lastSeen: time(5),
  description: str(100),
  scopes: strs(101, "Empty: everything."),
});
export type ApiKeyValue = ValueOf<typeof ApiKey>;

export const CreateApiKeyRequest = message("CreateApiKeyRequest", {
  expiration: time(1, "Left out: in 90 days."),
  description: str(100),
  scopes: strs(101),
  neverExpires: bool(102, "The key has no end; `expiration` is not read."),
});
export const CreateApiKeyResponse = message("CreateApiKeyResponse", { apiKey: str(1) });
export const ExpireApiKeyRequest = message("ExpireApiKeyRequest", { prefix: str(1), id: u64(2) });
export const ExpireApiKeyResponse = message("ExpireApiKeyResponse", {});
export const DeleteApiKeyRequest = message("DeleteApiKeyRequest", { prefix: str(1), id: u64(2) });
export const DeleteApiKeyResponse = message("DeleteApiKeyResponse", {});
export const ListApiKeysRequest = message("ListApiKeysRequest", {});
export const ListApiKeysResponse = message("ListApiKeysResponse", { apiKeys: subs(1, ApiKey) });

export const GetPolicyRequest = message("GetPolicyRequest", {});
export const GetPolicyResponse = message("GetPolicyResponse", { policy: str(1), updatedAt: time(2) });
export const SetPolicyRequest = message("SetPolicyRequest", { policy: str(1) });
export const SetPolicyResponse = message("SetPolicyResponse", { policy: str(1), updatedAt: time(2) });
export const CheckPolicyRequest = message("CheckPolicyRequest", { policy: str(1) });
export const CheckPolicyResponse = message("CheckPolicyResponse", {
  warnings: strs(100, "What is allowed, and may not be what was meant."),
});

export const HealthRequest = message("HealthRequest", {});
export const HealthResponse = message("HealthResponse", { databaseConnectivity: bool(1) });
