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
} as const;
