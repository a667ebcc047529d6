// A database as headscale 0.29 leaves it (headscale.md §5), made here: both dialects, the same rows.

/** bcrypt hash of a 64-character secret that nobody needs to know. */
const bcrypt = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";

const key = (kind: string, digit: string): string => `${kind}:${digit.repeat(64)}`;

/** Statements both databases understand; `{blob}` and `{serial}` stand for the types that differ. */
const tables = `
CREATE TABLE migrations (id text PRIMARY KEY);
CREATE TABLE database_versions (id integer PRIMARY KEY, version text NOT NULL, updated_at {time});
CREATE TABLE users (id {serial}, name text, display_name text, email text, provider_identifier text, provider text,
  profile_pic_url text, created_at {time}, updated_at {time}, deleted_at {time});
CREATE TABLE pre_auth_keys (id {serial}, key text, prefix text, hash {blob}, user_id bigint, reusable {flag},
  ephemeral {flag} DEFAULT false, used {flag} DEFAULT false, tags text, expiration {time}, created_at {time});
CREATE TABLE api_keys (id {serial}, prefix text, hash {blob}, expiration {time}, last_seen {time}, created_at {time});
CREATE TABLE nodes (id {serial}, machine_key text, node_key text, disco_key text, endpoints text, host_info text,
  ipv4 text, ipv6 text, hostname text, given_name varchar(63), user_id bigint, register_method text, tags text,
  auth_key_id bigint, last_seen {time}, expiry {time}, approved_routes text, created_at {time}, updated_at {time},
  deleted_at {time});
CREATE TABLE policies (id {serial}, data text, created_at {time}, updated_at {time}, deleted_at {time});
`;

const at = "'2026-03-04 05:06:07.890+00:00'";

const rows = `
INSERT INTO migrations VALUES ('202501221827'), ('202511011637-preauthkey-bcrypt'), ('202606181200-recover-null-tags-node-user-id');
INSERT INTO database_versions VALUES (1, 'v0.29.2', ${at});
INSERT INTO users (id, name, display_name, email, provider_identifier, provider, created_at)
  VALUES (1, 'alice', 'Alice', 'alice@example.com', 'https://idp.example.com/42', 'oidc', ${at}),
         (2, 'infra', '', '', NULL, '', ${at});
INSERT INTO pre_auth_keys (id, key, prefix, hash, user_id, reusable, ephemeral, used, tags, expiration, created_at)
  VALUES (3, '', 'abcdefghijkl', '${bcrypt}', 2, true, true, false, NULL, '2030-01-01 00:00:00+00:00', ${at}),
         (4, 'f00df00df00df00df00df00df00df00df00df00df00df00d', NULL, NULL, 1, false, false, true, '["tag:ci"]', NULL, ${at});
INSERT INTO api_keys (id, prefix, hash, expiration, created_at) VALUES (1, 'AbCdEfGhIjKl', '${bcrypt}', NULL, ${at});
INSERT INTO nodes (id, machine_key, node_key, disco_key, endpoints, host_info, ipv4, ipv6, hostname, given_name, user_id,
    register_method, tags, auth_key_id, last_seen, expiry, approved_routes, created_at)
  VALUES (5, '${key("mkey", "1")}', '${key("nodekey", "2")}', '${key("discokey", "3")}', '["192.0.2.1:41641"]',
          '{"OS":"linux","Hostname":"Web 1","RoutableIPs":["10.0.0.0/24"],"NetInfo":{"PreferredDERP":999}}',
          '100.64.0.5', 'fd7a:115c:a1e0::5', 'Web 1', 'web-1', 1, 'oidc', '[]', NULL, ${at}, '2027-01-01 00:00:00+00:00',
          '["10.0.0.0/24","0.0.0.0/0","::/0"]', ${at}),
         (9, '${key("mkey", "4")}', '${key("nodekey", "5")}', '${key("discokey", "6")}', '[]', '{}', '100.64.0.9', NULL,
          'ci', 'renamed-by-admin', NULL, 'authkey', '["tag:ci","tag:build"]', 3, ${at}, NULL, 'null', ${at});
INSERT INTO policies (id, data, created_at, updated_at)
  VALUES (1, '{"acls":[]}', ${at}, ${at}), (2, '// now open
{"acls":[{"action":"accept","src":["*"],"dst":["*:*"]}]}', ${at}, ${at});
`;

export const sqliteDump =
  tables
    .replaceAll("{serial}", "integer PRIMARY KEY AUTOINCREMENT")
    .replaceAll("{blob}", "blob")
    .replaceAll("{time}", "datetime")
    .replaceAll("{flag}", "numeric") + rows;

export const postgresDump = `${
  tables
    .replaceAll("{serial}", "bigserial PRIMARY KEY")
    .replaceAll("{blob}", "bytea")
    .replaceAll("{time}", "timestamptz")
    .replaceAll("{flag}", "boolean") + rows
}
SELECT setval('users_id_seq', 7);
SELECT setval('nodes_id_seq', 12);`;
