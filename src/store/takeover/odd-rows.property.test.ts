// Whatever stands in the rows of a headscale database, what is made of them keeps Hawser's own rules: a store takes it in
// one commit and reads it back whole.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as fc from "fast-check";
import { openSqliteStore } from "../sqlite.ts";
import { convert } from "./convert.ts";
import type { ConvertTools, LegacyTables } from "./convert.ts";
import type { Row } from "./legacy-values.ts";

const tools: ConvertTools = {
  hash: (text) => createHash("sha256").update(text).digest("hex"),
  decodeHostinfo: (value) => (typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined),
  judgeTags: () => ({ mayTag: (_user, _tags, tag) => tag === "tag:mine" }),
};

const bcrypt = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
/** Few values for each column, so that rows meet in them. */
const pick = (...values: readonly unknown[]): fc.Arbitrary<unknown> => fc.constantFrom(...values);
const anything = pick(
  null,
  "",
  "x",
  0,
  -1,
  1n,
  2n ** 60n,
  1.5,
  true,
  new Uint8Array([255]),
  "null",
  "[]",
  "{}",
  "\u0000",
);
const or = (arbitrary: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 9, arbitrary }, { weight: 1, arbitrary: anything });
const time = or(
  pick(null, "0001-01-01 00:00:00+00:00", "2026-03-04 05:06:07.890+00:00", 1_772_600_000, "soon", Infinity),
);
const userId = or(pick(null, 1, 2n, "3", 99));
const key = (kind: string): fc.Arbitrary<unknown> => or(pick(`${kind}:${"1".repeat(64)}`, `${kind}:${"2".repeat(64)}`));
const tags = or(pick(null, "", "null", "[]", '["tag:a"]', '["tag:b",null,7]', '{"tag:c":1}', '["tag:'));

function rows(columns: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<readonly Row[]> {
  return fc
    .array(fc.record(columns), { maxLength: 6 })
    .map((all) => all.map((row, index): Row => ({ id: [index + 1, BigInt(index + 1)][index % 2], ...row })));
}

const users = rows({
  name: or(pick("bob", "bob-2", "bob-3", "user-4", "bob-4-2")),
  email: or(pick("bob@example.com")),
  provider_identifier: or(pick(null, "https://idp.example.com/1", "https://idp.example.com//1")),
  provider: or(pick("oidc")),
  created_at: time,
  deleted_at: or(pick(null)),
});
const nodes = rows({
  machine_key: key("mkey"),
  node_key: or(fc.integer({ min: 1, max: 40 }).map((number) => `nodekey:${number.toString().padStart(64, "0")}`)),
  disco_key: key("discokey"),
  endpoints: or(pick(null, '["192.0.2.1:1"]')),
  host_info: or(pick('{"Hostname":"web","RequestTags":["tag:mine","tag:not"]}', '{"NetInfo":{"PreferredDERP":3}}')),
  ipv4: or(pick(null, "100.64.0.1", "100.64.0.2", "fd7a:115c:a1e0::1")),
  ipv6: or(pick(null, "fd7a:115c:a1e0::1", "FD7A:115C:A1E0:0::1")),
  hostname: or(pick("web", "Web 1")),
  given_name: or(pick("web", "Web", "web-1", "Web_1", "n".repeat(64), "💻")),
  user_id: userId,
  register_method: or(pick("cli", "authkey", "oidc")),
  forced_tags: tags,
  auth_key_id: or(pick(null, 1, 2, 77)),
  last_seen: time,
  expiry: time,
  approved_routes: or(pick(null, '["10.0.0.1/8","10.0.0.0/8"]', '["0.0.0.0/0"]', '["x"]', "[1]")),
  created_at: time,
  deleted_at: or(pick(null)),
});
const preAuthKeys = rows({
  key: or(pick("", "f00d", "beef")),
  prefix: or(pick(null, "", "abcdefghijkl")),
  hash: or(pick(bcrypt, new TextEncoder().encode(bcrypt))),
  user_id: userId,
  reusable: or(pick(0, 1, "true")),
  tags,
  expiration: time,
});
const apiKeys = rows({ prefix: or(pick("abcdefg", "AbCdEfGhIjKl")), hash: or(pick(bcrypt)), expiration: time });
const policies = rows({ data: or(pick("{}", "")), updated_at: time, deleted_at: or(pick(null)) });

const tables: fc.Arbitrary<LegacyTables> = fc.record({
  version: fc.constantFrom("0.25", "0.29"),
  users,
  nodes: fc.tuple(nodes, fc.boolean()).map(([all, renamed]) =>
    // 0.28 renamed the column.
    renamed ? all.map(({ forced_tags: value, ...row }) => ({ ...row, tags: value })) : all,
  ),
  preAuthKeys,
  apiKeys,
  policies,
  routes: rows({ node_id: userId, prefix: or(pick("10.1.0.0/16", "::/0")), enabled: pick(true), advertised: pick(1) }),
  highest: fc.constant({ users: 9, nodes: 9, pre_auth_keys: 9, api_keys: 9, policies: 9 }),
});

test("whatever the rows hold, a store takes what is made of them and gives it back", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hawser-odd-rows-"));
  let runs = 0;
  try {
    await fc.assert(
      fc.asyncProperty(tables, async (legacy) => {
        const conversion = convert(legacy, tools);
        const store = await openSqliteStore({ path: join(folder, `${(runs += 1)}.sqlite`) });
        try {
          assert.deepEqual(await store.commit([conversion.writes]), { ok: true, sequence: 1 });
          const snapshot = await store.load();
          assert.deepEqual(
            {
              users: snapshot.users.length,
              nodes: snapshot.nodes.length,
              preAuthKeys: snapshot.preAuthKeys.length,
              apiKeys: snapshot.apiKeys.length,
              policies: (await store.policyHistory(100)).length,
            },
            conversion.counts,
          );
          const names = snapshot.nodes.map(({ record }) => record.givenName.toLowerCase());
          assert.equal(new Set(names).size, names.length);
          assert.ok(snapshot.nodes.every(({ record }) => record.tags.length === 0 || record.userId === null));
        } finally {
          await store.close();
        }
      }),
      { numRuns: 150 },
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
