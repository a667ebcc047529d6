import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { NodeRecord } from "../../tailnet/model.ts";
import { convert } from "./convert.ts";
import type { Conversion, ConvertTools } from "./convert.ts";
import type { ReportLine } from "./report.ts";
import { readSqlite, recogniseSqlite } from "./sqlite-source.ts";

const dumps = join(import.meta.dirname, "../../../test/data/headscale-db");

const tools: ConvertTools = {
  hash: (text) => createHash("sha256").update(text).digest("hex"),
  decodeHostinfo: (value) => (typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined),
  judgeTags: () => ({ mayTag: () => false }),
};

/** Builds the database of a dump, lets `damage` loose on it, and converts it. */
function convertDump(name: string, damage?: (db: DatabaseSync) => void): Conversion {
  const folder = mkdtempSync(join(tmpdir(), "hawser-takeover-"));
  try {
    const path = join(folder, "db.sqlite");
    const db = new DatabaseSync(path);
    db.exec(readFileSync(join(dumps, name), "utf8"));
    damage?.(db);
    db.close();
    assert.equal(recogniseSqlite(path).kind, "headscale");
    const tables = readSqlite(path);
    assert.ok(tables !== undefined);
    return convert(tables, tools);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function lineText(line: ReportLine): string {
  return `${line.kind} ${line.subject} ${line.text}`;
}

function nodesOf(conversion: Conversion): readonly NodeRecord[] {
  return conversion.writes.flatMap((write) => (write.kind === "put-node" ? [write.node] : []));
}

test("a 0.25 database with dangling auth keys keeps its user, API keys and nodes, none tied to a key", () => {
  const conversion = convertDump("failing-node-preauth-constraint_dump.sql");
  assert.deepEqual(conversion.counts, { users: 1, nodes: 6, preAuthKeys: 0, apiKeys: 2, policies: 0 });
  assert.ok(
    nodesOf(conversion).every((node) => node.authKeyId === null && node.expiry === null && node.tags.length > 0),
  );
  assert.deepEqual(
    nodesOf(conversion).map((node) => node.stableId),
    ["1", "2", "3", "4", "5", "6"],
  );
});

test("an empty 0.26 schema is recognised and yields nothing", () => {
  for (const name of ["headscale_0.26.0-beta.1_dump.sql", "headscale_0.26.0-beta.2_dump.sql"]) {
    assert.equal(convertDump(name).counts.nodes, 0);
  }
});

test("year-1 expiries become none, real ones stay", () => {
  const expiries = nodesOf(convertDump("zero_time_expiry_migration_test.sql")).map((node) => node.expiry);
  assert.deepEqual(expiries, [null, null, Date.UTC(2099, 0, 1), Date.UTC(2020, 0, 1), null]);
});

test("tags that only look like tags leave the owner; real tags take his place", () => {
  const owners = nodesOf(convertDump("null_tags_user_id_migration_test.sql")).map((node) => node.userId);
  assert.deepEqual(owners, [2, null, 1, 1]);
});

test("an orphan regains the owner of its pre-auth key; one without a key stays and is named", () => {
  const conversion = convertDump("recover_null_tags_user_id_migration_test.sql");
  assert.deepEqual(
    nodesOf(conversion).map((node) => node.userId),
    [2, null, null, 1],
  );
  assert.ok(conversion.report.lines.some((line) => line.kind === "odd" && line.subject.startsWith("node 3")));
});

test("ids given out before, to rows since deleted, are not given out again", () => {
  const conversion = convertDump("null_tags_user_id_migration_test.sql", (db) =>
    db.exec("DELETE FROM nodes WHERE id = 4"),
  );
  const reserve = conversion.writes.find((write) => write.kind === "reserve-ids");
  assert.equal(reserve?.kind === "reserve-ids" ? reserve.highest.node : 0, 4);
});

const damages: Readonly<Record<string, string>> = {
  "a node key that is no key": "UPDATE nodes SET node_key = 'nodekey:xyz' WHERE id = 1",
  "a node key used twice": "UPDATE nodes SET node_key = (SELECT node_key FROM nodes WHERE id = 2) WHERE id = 1",
  "an address used twice": "UPDATE nodes SET ipv4 = '100.64.0.2' WHERE id = 1",
  "an address that is none": "UPDATE nodes SET ipv4 = '100.64.0.999', ipv6 = 'x' WHERE id = 1",
  "a name used twice": "UPDATE nodes SET given_name = 'node2' WHERE id = 1",
  "a name that is no label": "UPDATE nodes SET given_name = 'Bad Name!' WHERE id = 1",
  "an owner who does not exist": "UPDATE nodes SET user_id = 77 WHERE id = 1",
  "host information that is no JSON": "UPDATE nodes SET host_info = '{\"OS\":' WHERE id = 1",
  "tags that are no list": "UPDATE nodes SET tags = '{\"a\":1}' WHERE id = 1",
  "routes that are none": 'UPDATE nodes SET approved_routes = \'["10.0.0.0/8","nonsense"]\' WHERE id = 1',
  "an expiry that is no time": "UPDATE nodes SET expiry = 'soon' WHERE id = 1",
  "two local users with one name":
    "DROP INDEX idx_name_no_provider_identifier; INSERT INTO users(id, name) VALUES (9, 'user1')",
  "a user without a name": "UPDATE users SET name = NULL WHERE id = 1",
  "an id that no number can tell apart": "UPDATE nodes SET id = 9007199254740993 WHERE id = 1",
  "one machine of one user twice":
    "UPDATE nodes SET machine_key = (SELECT machine_key FROM nodes WHERE id = 3) WHERE id = 4",
  "tags of which some are none": "UPDATE nodes SET tags = '[\"tag:a\",null]' WHERE id = 2",
};

for (const [what, sql] of Object.entries(damages)) {
  test(`${what} is reported and never fatal`, () => {
    const sound = convertDump("null_tags_user_id_migration_test.sql").report.lines.map(lineText);
    const damaged = convertDump("null_tags_user_id_migration_test.sql", (db) => db.exec(sql));
    assert.ok(damaged.report.lines.some((line) => !sound.includes(lineText(line))));
    assert.ok(damaged.counts.nodes >= 3);
    const nodes = nodesOf(damaged);
    assert.equal(new Set(nodes.map((node) => node.givenName)).size, nodes.length);
    assert.equal(new Set(nodes.map((node) => node.nodeKey)).size, nodes.length);
  });
}

function usersOf(conversion: Conversion): readonly (readonly [number, string, string])[] {
  return conversion.writes.flatMap((write) =>
    write.kind === "put-user" ? [[write.user.id, write.user.name, write.user.providerId] as const] : [],
  );
}

test("a user who has to be renamed takes nobody's name", () => {
  const conversion = convertDump("null_tags_user_id_migration_test.sql", (db) =>
    db.exec(`DROP INDEX idx_name_no_provider_identifier;
      INSERT INTO users(id, name) VALUES (8, 'user1-9'), (9, 'user1'), (10, ''), (11, 'user-10')`),
  );
  assert.deepEqual(usersOf(conversion).slice(2), [
    [8, "user1-9", ""],
    [9, "user1-9-2", ""],
    [10, "user-10-2", ""],
    [11, "user-10", ""],
  ]);
});

test("of two users with one identity the second becomes a local one, under a name that is free", () => {
  const conversion = convertDump("null_tags_user_id_migration_test.sql", (db) =>
    db.exec(`DROP INDEX IF EXISTS idx_provider_identifier;
      INSERT INTO users(id, name, provider_identifier) VALUES (8, 'c', 'https://idp/1'), (9, 'user1', 'https://idp/1')`),
  );
  assert.deepEqual(usersOf(conversion).slice(2), [
    [8, "c", "https://idp/1"],
    [9, "user1-9", ""],
  ]);
});

test("a provider's user without a name goes by what headscale shows instead", () => {
  const conversion = convertDump("null_tags_user_id_migration_test.sql", (db) =>
    db.exec(`INSERT INTO users(id, name, email, provider_identifier)
      VALUES (8, '', 'c@example.com', 'https://idp/1'), (9, NULL, NULL, 'https://idp/2')`),
  );
  assert.deepEqual(
    usersOf(conversion)
      .slice(2)
      .map(([, name]) => name),
    ["c@example.com", "https://idp/2"],
  );
});

test("identities of 0.25 lose doubled slashes, as 0.26 cleaned them; later ones stay as they are", () => {
  const doubled = (db: DatabaseSync): void =>
    db.exec(
      "INSERT INTO users(id, name, provider_identifier) VALUES (8, 'c', 'HTTPS://idp.example.com//realms/ x/auth0|1')",
    );
  assert.equal(
    usersOf(convertDump("failing-node-preauth-constraint_dump.sql", doubled)).at(-1)?.[2],
    "https://idp.example.com/realms/x/auth0%7C1",
  );
  assert.equal(
    usersOf(convertDump("zero_time_expiry_migration_test.sql", doubled)).at(-1)?.[2],
    "HTTPS://idp.example.com//realms/ x/auth0|1",
  );
});

test("a key whose expiration was left at year 1 is as expired as headscale takes it to be", () => {
  const conversion = convertDump("null_tags_user_id_migration_test.sql", (db) =>
    db.exec(`INSERT INTO pre_auth_keys(id, key, expiration) VALUES (50, 'beef', '0001-01-01 00:00:00+00:00');
      INSERT INTO api_keys(id, prefix, hash, expiration)
        VALUES (50, 'abcdefg', '$2a$10$${"a".repeat(53)}', '0001-01-01 00:00:00+00:00')`),
  );
  const expirations = conversion.writes.flatMap((write) =>
    (write.kind === "put-pre-auth-key" || write.kind === "put-api-key") && write.key.id === 50
      ? [write.key.expiration]
      : [],
  );
  const year1 = Date.parse("0001-01-01T00:00:00Z");
  assert.deepEqual(expirations, [year1, year1]);
});

test("of two keys with one prefix the first is found by it, as headscale finds it", () => {
  const hash = `'$2a$10$${"a".repeat(53)}'`;
  const conversion = convertDump("null_tags_user_id_migration_test.sql", (db) =>
    db.exec(`DROP INDEX idx_pre_auth_keys_prefix; DROP INDEX idx_api_keys_prefix;
      INSERT INTO pre_auth_keys(id, prefix, hash) VALUES (50, 'abcdefghijkl', ${hash}), (51, 'abcdefghijkl', ${hash});
      INSERT INTO api_keys(id, prefix, hash) VALUES (50, 'abcdefg', ${hash}), (51, 'abcdefg', ${hash})`),
  );
  const found = conversion.writes.flatMap((write) =>
    (write.kind === "put-pre-auth-key" || write.kind === "put-api-key") && write.key.id >= 50
      ? [[write.kind, write.key.id, write.key.prefix]]
      : [],
  );
  assert.deepEqual(found, [
    ["put-pre-auth-key", 50, "abcdefghijkl"],
    ["put-pre-auth-key", 51, ""],
    ["put-api-key", 50, "abcdefg"],
  ]);
});

test("a hash that would take days to check opens nothing and is never tried", () => {
  const hash = `'$2a$31$${"a".repeat(53)}'`;
  const conversion = convertDump("null_tags_user_id_migration_test.sql", (db) =>
    db.exec(`INSERT INTO pre_auth_keys(id, prefix, hash) VALUES (50, 'abcdefghijkl', ${hash});
      INSERT INTO api_keys(id, prefix, hash) VALUES (50, 'abcdefg', ${hash})`),
  );
  const kept = conversion.writes.flatMap((write) =>
    write.kind === "put-pre-auth-key" || write.kind === "put-api-key" ? [[write.kind, write.secret]] : [],
  );
  assert.deepEqual(kept, [["put-pre-auth-key", { algorithm: "sha256", hash: "" }]]);
});

test("an empty newest policy means no policy, and no older one takes its place", () => {
  const conversion = convertDump("null_tags_user_id_migration_test.sql", (db) =>
    db.exec("INSERT INTO policies(id, data) VALUES (1, '{\"acls\":[]}'), (2, '')"),
  );
  const policies = conversion.writes.flatMap((write) => (write.kind === "put-policy" ? [write.policy.text] : []));
  assert.deepEqual(policies, ['{"acls":[]}', ""]);
  assert.ok(conversion.report.lines.some((line) => lineText(line).includes("everybody may reach everybody")));
});

test("a name is not lost to a machine seen later whose own only becomes that name", () => {
  const conversion = convertDump("null_tags_user_id_migration_test.sql", (db) =>
    db.exec(`UPDATE nodes SET given_name = 'web-1', last_seen = '2020-01-01 00:00:00+00:00' WHERE id = 1;
      UPDATE nodes SET given_name = 'Web_1', last_seen = '2026-01-01 00:00:00+00:00' WHERE id = 2`),
  );
  assert.deepEqual(
    nodesOf(conversion)
      .slice(0, 2)
      .map((node) => node.givenName),
    ["web-1", "web-1-1"],
  );
});

test("times that the database keeps as numbers are read as headscale's driver reads them", () => {
  const conversion = convertDump("null_tags_user_id_migration_test.sql", (db) =>
    db.exec("UPDATE nodes SET expiry = 1893456000 WHERE id = 1; UPDATE nodes SET expiry = 1893456000000 WHERE id = 2"),
  );
  const at = Date.UTC(2030, 0, 1);
  assert.deepEqual(
    nodesOf(conversion)
      .slice(0, 2)
      .map((node) => node.expiry),
    [at, at],
  );
});
