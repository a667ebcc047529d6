// Why a store refuses a group of writes: one wording for all implementations. People see these texts only when another
// server decided first; the tailnet checks the same rules against memory before.
export const refusal = {
  keyUsed: "authkey already used",
  keyMissing: "record not found",
  userMissing: "user not found",
  userHasNodes: "user not empty: node(s) found",
  userNameTaken: "constraint failed: UNIQUE constraint failed: users.name (2067)",
  providerTaken: "constraint failed: UNIQUE constraint failed: users.provider_identifier (2067)",
  nodeKeyTaken: "node key already in use by another machine",
  nameTaken: "node name is not unique",
  machineTaken: "the user already has a node on this machine",
  stableIdTaken: "stable node id already in use",
  addressTaken: "address already in use",
  prefixTaken: "key prefix already in use",
  secretMissing: "a new key needs its secret",
  auditNotEmpty: "the audit log is not empty",
} as const;

/** SQLite names the columns of the violated index: the last of them tells which one it was. */
export const refusalByColumn: Readonly<Record<string, string>> = {
  "users.name": refusal.userNameTaken,
  "users.provider_id": refusal.providerTaken,
  "nodes.node_key": refusal.nodeKeyTaken,
  "nodes.stable_id": refusal.stableIdTaken,
  "nodes.given_name": refusal.nameTaken,
  "nodes.ipv4": refusal.addressTaken,
  "nodes.ipv6": refusal.addressTaken,
  "nodes.user_id": refusal.machineTaken,
  "pre_auth_keys.prefix": refusal.prefixTaken,
  "api_keys.prefix": refusal.prefixTaken,
};
