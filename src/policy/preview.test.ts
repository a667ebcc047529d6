import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { NodeId } from "../wire/ids.ts";
import type { PolicyNode } from "./engine.ts";
import { compilePolicy, createAllowAll, createDenyAll, formatProblems, preview, type Preview } from "./index.ts";
import { allows, mayLogin, ownAddresses, type NaiveWorld } from "./naive.test-data.ts";
import { arbitraryPolicy, arbitraryWorld } from "./worlds.test-data.ts";

const settings = { serverUrl: "https://control.example", providerGroups: ["group:idp"] };

function previewOf(before: NaiveWorld, after: NaiveWorld): Preview {
  const input = { users: before.users, nodes: before.nodes, settings };
  const compiled = compilePolicy(JSON.stringify(before.policy), input);
  assert.ok(compiled.ok, compiled.ok ? "" : formatProblems(compiled.errors));
  const result = preview(compiled.engine, JSON.stringify(after.policy), input);
  assert.ok(result.ok);
  return result;
}

function mayOpen(world: NaiveWorld, from: PolicyNode, to: PolicyNode, protocol: number, port: number): boolean {
  return ownAddresses(from).some((src) =>
    ownAddresses(to).some((dst) => allows(world, to, { src, dst, protocol, port })),
  );
}

test("a preview lists every pair of nodes of which the one may do more or less to the other", () => {
  fc.assert(
    fc.property(arbitraryWorld, arbitraryPolicy, (before, policy) => {
      const after = { ...before, policy };
      const result = previewOf(before, after);
      const lists = (changes: Preview["access"], from: PolicyNode, to: PolicyNode, side: "gained" | "lost"): boolean =>
        changes.some(
          ({ src, dst, [side]: what }) =>
            what.length > 0 && src.nodes.includes(from.name) && dst.nodes.includes(to.name),
        );
      for (const from of before.nodes) {
        for (const to of before.nodes.filter((node) => node !== from)) {
          for (const [protocol, port] of [
            [6, 22],
            [6, 8050],
            [17, 53],
            [1, 0],
          ] as const) {
            const [had, has] = [mayOpen(before, from, to, protocol, port), mayOpen(after, from, to, protocol, port)];
            if (had !== has) {
              assert.ok(lists(result.access, from, to, has ? "gained" : "lost"), `${from.name} -> ${to.name} ${port}`);
            }
          }
          for (const login of ["root", "ubuntu"]) {
            const [had, has] = [mayLogin(before, from, to, login), mayLogin(after, from, to, login)];
            if (had !== has) {
              assert.ok(
                lists(result.ssh, from, to, has ? "gained" : "lost"),
                `ssh ${from.name} -> ${to.name} ${login}`,
              );
            }
          }
        }
      }
    }),
    { numRuns: 40 },
  );
});

test("putting the same policy in force again changes nothing, however it is written", () => {
  fc.assert(
    fc.property(arbitraryWorld, (world) => {
      const again = { ...world, policy: { ...world.policy, acls: world.policy.acls?.toReversed() } };
      const { acls } = again.policy;
      const result = previewOf(world, acls === undefined ? world : { ...world, policy: { ...world.policy, acls } });
      assert.deepEqual(
        [result.access, result.ssh, result.attributes, result.pairsGaining, result.pairsLosing],
        [[], [], [], 0, 0],
      );
    }),
    { numRuns: 40 },
  );
});

const node = (id: number, user: number | null, tags: readonly string[]): PolicyNode => ({
  id: id as NodeId,
  name: `node-${id}`,
  user: user as PolicyNode["user"],
  tags,
  ipv4: { family: 4, a: 0x64400000 + id },
  ipv6: null,
  routes: [],
  posture: {},
});
const users = [1, 2].map((id) => ({
  id: id as NonNullable<PolicyNode["user"]>,
  name: `user${id}`,
  email: "",
  providerId: "",
  role: "member" as const,
  groups: [],
}));
const nodes = [node(1, 1, []), node(2, 2, []), node(3, null, ["tag:web"])];
const input = { users, nodes, settings };
const webFor = (who: string): string =>
  JSON.stringify({ tagOwners: { "tag:web": [] }, acls: [{ action: "accept", src: [who], dst: ["tag:web:80,443"] }] });

test("a preview names who gains and who loses what", () => {
  const compiled = compilePolicy(webFor("user1@"), input);
  assert.ok(compiled.ok);
  const result = preview(compiled.engine, webFor("user2@"), input);
  assert.ok(result.ok);
  const group = (name: string, user: string[], tags: string[]): unknown => ({
    behind: false,
    count: 1,
    nodes: [name],
    users: user,
    tags,
  });
  assert.deepEqual(result.access, [
    {
      src: group("node-1", ["user1@"], []),
      dst: group("node-3", [], ["tag:web"]),
      ownDevices: false,
      gained: [],
      lost: ["80, 443"],
    },
    {
      src: group("node-2", ["user2@"], []),
      dst: group("node-3", [], ["tag:web"]),
      ownDevices: false,
      gained: ["80, 443"],
      lost: [],
    },
  ]);
  assert.deepEqual([result.pairsGaining, result.pairsLosing], [1, 1]);
});

test("a preview from no policy shows what is lost, one from deny-all what is gained", () => {
  const fromOpen = preview(createAllowAll({ users, nodes }), webFor("user1@"), input);
  assert.ok(fromOpen.ok);
  assert.deepEqual([fromOpen.pairsGaining, fromOpen.pairsLosing], [0, 6]);
  const fromClosed = preview(createDenyAll(), webFor("user1@"), input);
  assert.ok(fromClosed.ok);
  assert.deepEqual([fromClosed.pairsGaining, fromClosed.pairsLosing], [1, 0]);
});

test("a preview of a policy that is wrong gives its errors", () => {
  const result = preview(createDenyAll(), '{"acls": 1}', input);
  assert.ok(!result.ok);
  assert.match(formatProblems(result.errors), /line 1, column 10: acls must be an array, not a number/);
});

test("a preview tells attributes that nodes gain and lose", () => {
  const attrs = (attr: string): string => JSON.stringify({ nodeAttrs: [{ target: ["user1@"], attr: [attr] }] });
  const compiled = compilePolicy(attrs("funnel"), input);
  assert.ok(compiled.ok);
  const result = preview(compiled.engine, attrs("magicdns-aaaa"), input);
  assert.ok(result.ok);
  assert.deepEqual(
    result.attributes.map(({ nodes: { nodes: names }, gained, lost }) => ({ names, gained, lost })),
    [{ names: ["node-1"], gained: ["magicdns-aaaa"], lost: ["funnel"] }],
  );
});
