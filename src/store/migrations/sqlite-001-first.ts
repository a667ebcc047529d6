// The first schema. Times are milliseconds since 1970, lists and hostinfo are JSON, addresses are text. Node ids, keys
// and stable ids are unique in the server; names, addresses and users' identities in their tailnet.
export const name = "first";

export const sql = `
CREATE TABLE sequences (
  tailnet INTEGER PRIMARY KEY,
  sequence INTEGER NOT NULL
) STRICT;

CREATE TABLE high_water (
  kind TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
  id INTEGER PRIMARY KEY,
  tailnet INTEGER NOT NULL DEFAULT 1,
  name TEXT NOT NULL,
  display_name TEXT NOT NULL,
  email TEXT NOT NULL,
  provider_id TEXT,
  provider TEXT NOT NULL,
  profile_pic_url TEXT NOT NULL,
  role TEXT NOT NULL,
  groups TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX users_local_name ON users (tailnet, name) WHERE provider_id IS NULL;
CREATE UNIQUE INDEX users_provider_id ON users (tailnet, provider_id) WHERE provider_id IS NOT NULL;

CREATE TABLE pre_auth_keys (
  id INTEGER PRIMARY KEY,
  tailnet INTEGER NOT NULL DEFAULT 1,
  prefix TEXT NOT NULL,
  user_id INTEGER REFERENCES users (id) ON DELETE SET NULL,
  reusable INTEGER NOT NULL,
  ephemeral INTEGER NOT NULL,
  used INTEGER NOT NULL,
  tags TEXT NOT NULL,
  expiration INTEGER,
  created_at INTEGER NOT NULL,
  hash_algorithm TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX pre_auth_keys_prefix ON pre_auth_keys (prefix) WHERE prefix <> '';
CREATE INDEX pre_auth_keys_user ON pre_auth_keys (user_id);

CREATE TABLE api_keys (
  id INTEGER PRIMARY KEY,
  tailnet INTEGER NOT NULL DEFAULT 1,
  prefix TEXT NOT NULL,
  expiration INTEGER,
  created_at INTEGER NOT NULL,
  last_seen INTEGER,
  description TEXT NOT NULL,
  scopes TEXT NOT NULL,
  hash_algorithm TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX api_keys_prefix ON api_keys (prefix);

CREATE TABLE nodes (
  id INTEGER PRIMARY KEY,
  tailnet INTEGER NOT NULL DEFAULT 1,
  stable_id TEXT NOT NULL,
  machine_key TEXT NOT NULL,
  node_key TEXT NOT NULL,
  node_lock_key TEXT,
  user_id INTEGER REFERENCES users (id),
  tags TEXT NOT NULL,
  given_name TEXT NOT NULL,
  name_fixed INTEGER NOT NULL,
  ipv4 TEXT,
  ipv6 TEXT,
  register_method TEXT NOT NULL,
  auth_key_id INTEGER REFERENCES pre_auth_keys (id) ON DELETE SET NULL,
  ephemeral INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expiry INTEGER,
  approved_routes TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX nodes_node_key ON nodes (node_key);
CREATE UNIQUE INDEX nodes_stable_id ON nodes (stable_id);
CREATE UNIQUE INDEX nodes_given_name ON nodes (tailnet, given_name);
CREATE UNIQUE INDEX nodes_ipv4 ON nodes (tailnet, ipv4) WHERE ipv4 IS NOT NULL;
CREATE UNIQUE INDEX nodes_ipv6 ON nodes (tailnet, ipv6) WHERE ipv6 IS NOT NULL;
CREATE UNIQUE INDEX nodes_machine_user ON nodes (machine_key, user_id) WHERE user_id IS NOT NULL;
CREATE INDEX nodes_user ON nodes (user_id);
CREATE INDEX nodes_auth_key ON nodes (auth_key_id);

CREATE TABLE presence (
  node_id INTEGER PRIMARY KEY REFERENCES nodes (id) ON DELETE CASCADE,
  hostinfo TEXT NOT NULL,
  disco_key TEXT,
  endpoints TEXT NOT NULL,
  home_derp INTEGER NOT NULL,
  cap_version INTEGER NOT NULL,
  last_seen INTEGER
) STRICT;

CREATE TABLE policies (
  id INTEGER PRIMARY KEY,
  tailnet INTEGER NOT NULL DEFAULT 1,
  text TEXT NOT NULL,
  set_at INTEGER NOT NULL,
  set_by TEXT NOT NULL
) STRICT;

CREATE TABLE settings (
  tailnet INTEGER NOT NULL DEFAULT 1,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (tailnet, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  tailnet INTEGER NOT NULL DEFAULT 1,
  at INTEGER NOT NULL,
  actor_kind TEXT NOT NULL,
  actor_id TEXT NOT NULL,
  from_address TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  before TEXT NOT NULL,
  after TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (tailnet, at);
`;
