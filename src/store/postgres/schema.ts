// Hawser's tables on PostgreSQL, in a schema of their own (`hawser`), so that they never meet a headscale's in the same
// database. Columns are those of SQLite's schema, so that rows.ts serves both. Migrations run in order, each in a
// transaction; the version stands in hawser.meta. JSON is kept as text, because jsonb refuses the NUL escapes that a
// client may send.
import { refusal } from "../refusals.ts";
import type { Query } from "./connection.ts";
import * as auditChain from "./schema-002-audit-chain.ts";

export interface PostgresMigration {
  readonly sql: string;
  /** What SQL alone cannot do, after it and in the same transaction. */
  readonly run?: (query: Query) => Promise<void>;
}

/** A migration's number is its place, from 1. Never change one that was released. */
export const migrations: readonly PostgresMigration[] = [
  {
    sql: `
  CREATE TABLE hawser.counters (name text PRIMARY KEY, value bigint NOT NULL);
  INSERT INTO hawser.counters VALUES
    ('sequence', 0), ('user', 0), ('node', 0), ('pre_auth_key', 0), ('api_key', 0), ('policy', 0);

  CREATE TABLE hawser.users (
    id bigint PRIMARY KEY, tailnet int NOT NULL DEFAULT 1,
    name text NOT NULL, display_name text NOT NULL, email text NOT NULL,
    provider_id text, provider text NOT NULL, profile_pic_url text NOT NULL,
    role text NOT NULL, groups text NOT NULL, created_at bigint NOT NULL
  );
  CREATE UNIQUE INDEX users_local_name ON hawser.users (tailnet, name) WHERE provider_id IS NULL;
  CREATE UNIQUE INDEX users_provider ON hawser.users (tailnet, provider_id) WHERE provider_id IS NOT NULL;

  CREATE TABLE hawser.pre_auth_keys (
    id bigint PRIMARY KEY, tailnet int NOT NULL DEFAULT 1,
    prefix text NOT NULL, user_id bigint REFERENCES hawser.users ON DELETE SET NULL,
    reusable smallint NOT NULL, ephemeral smallint NOT NULL, used smallint NOT NULL,
    tags text NOT NULL, expiration bigint, created_at bigint NOT NULL,
    hash_algorithm text NOT NULL, hash text NOT NULL
  );
  CREATE UNIQUE INDEX pre_auth_keys_prefix ON hawser.pre_auth_keys (prefix) WHERE prefix <> '';

  CREATE TABLE hawser.api_keys (
    id bigint PRIMARY KEY, tailnet int NOT NULL DEFAULT 1,
    prefix text NOT NULL, expiration bigint, created_at bigint NOT NULL, last_seen bigint,
    description text NOT NULL, scopes text NOT NULL,
    hash_algorithm text NOT NULL, hash text NOT NULL
  );
  CREATE UNIQUE INDEX api_keys_prefix ON hawser.api_keys (prefix) WHERE prefix <> '';

  CREATE TABLE hawser.nodes (
    id bigint PRIMARY KEY, tailnet int NOT NULL DEFAULT 1,
    stable_id text NOT NULL, machine_key text NOT NULL, node_key text NOT NULL, node_lock_key text,
    user_id bigint CONSTRAINT nodes_user REFERENCES hawser.users,
    tags text NOT NULL, given_name text NOT NULL, name_fixed smallint NOT NULL,
    ipv4 text, ipv6 text, register_method text NOT NULL,
    auth_key_id bigint CONSTRAINT nodes_auth_key REFERENCES hawser.pre_auth_keys ON DELETE SET NULL,
    ephemeral smallint NOT NULL, created_at bigint NOT NULL, expiry bigint, approved_routes text NOT NULL
  );
  CREATE UNIQUE INDEX nodes_stable_id ON hawser.nodes (stable_id);
  CREATE UNIQUE INDEX nodes_node_key ON hawser.nodes (node_key);
  CREATE UNIQUE INDEX nodes_given_name ON hawser.nodes (tailnet, given_name);
  CREATE UNIQUE INDEX nodes_machine_user ON hawser.nodes (tailnet, machine_key, user_id) WHERE user_id IS NOT NULL;
  CREATE UNIQUE INDEX nodes_ipv4 ON hawser.nodes (tailnet, ipv4) WHERE ipv4 IS NOT NULL;
  CREATE UNIQUE INDEX nodes_ipv6 ON hawser.nodes (tailnet, ipv6) WHERE ipv6 IS NOT NULL;

  CREATE TABLE hawser.presence (
    node_id bigint PRIMARY KEY REFERENCES hawser.nodes ON DELETE CASCADE,
    hostinfo text NOT NULL, disco_key text, endpoints text NOT NULL,
    home_derp int NOT NULL, cap_version int NOT NULL, last_seen bigint
  );

  CREATE TABLE hawser.policies (
    id bigint PRIMARY KEY, tailnet int NOT NULL DEFAULT 1,
    text text NOT NULL, set_at bigint NOT NULL, set_by text NOT NULL
  );
  CREATE TABLE hawser.settings (
    tailnet int NOT NULL DEFAULT 1, key text NOT NULL, value text NOT NULL, PRIMARY KEY (tailnet, key)
  );
  CREATE TABLE hawser.audit (
    id bigserial PRIMARY KEY, tailnet int NOT NULL DEFAULT 1,
    at bigint NOT NULL, actor_kind text NOT NULL, actor_id text NOT NULL, from_address text NOT NULL,
    action text NOT NULL, target text NOT NULL, before text NOT NULL, after text NOT NULL
  );
  `,
  },
  auditChain,
];

/** Constraint that PostgreSQL names in an error → why the group is refused. */
export const refusalOf: Readonly<Record<string, string>> = {
  users_local_name: refusal.userNameTaken,
  users_provider: refusal.providerTaken,
  pre_auth_keys_prefix: refusal.prefixTaken,
  api_keys_prefix: refusal.prefixTaken,
  nodes_stable_id: refusal.stableIdTaken,
  nodes_node_key: refusal.nodeKeyTaken,
  nodes_given_name: refusal.nameTaken,
  nodes_machine_user: refusal.machineTaken,
  nodes_ipv4: refusal.addressTaken,
  nodes_ipv6: refusal.addressTaken,
  nodes_auth_key: refusal.keyMissing,
};
