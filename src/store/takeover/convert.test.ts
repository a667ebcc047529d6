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
