import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddr, parsePrefix } from "../ip/index.ts";
import type { NodeId, UserId } from "../wire/ids.ts";
import { createAllowAll } from "./allow-all.ts";
import type { PolicyNode, PolicyUser, UserRole } from "./engine.ts";

const user = (id: number, role: UserRole): PolicyUser => ({
  id: id as UserId,
  name: `u${id}`,
  email: "",
  providerId: "",
  role,
  groups: [],
});
const node = (id: number, routes: readonly string[] = []): PolicyNode => ({
  id: id as NodeId,
  name: `n${id}`,
  user: 1 as UserId,
  tags: [],
  ipv4: parseAddr(`100.64.0.${id}`) ?? null,
  ipv6: null,
  routes: routes.flatMap((text) => parsePrefix(text) ?? []),
  posture: {},
});

test("without a policy everybody is in one view, sees everybody and shares one filter", () => {
  const engine = createAllowAll({ users: [user(1, "member")], nodes: [node(3), node(1), node(2)] });
  const [one, two] = [1 as NodeId, 2 as NodeId];
  assert.equal(engine.viewOf(one).id, engine.viewOf(two).id);
  assert.deepEqual(engine.viewOf(one).peers(), [1, 2, 3]);
  assert.equal(engine.filterOf(one), engine.filterOf(two));
  assert.deepEqual(engine.filterOf(one), [
    { SrcIPs: ["*"], DstPorts: [{ IP: "*", Ports: { First: 0, Last: 65535 } }] },
  ]);
});

test("without a policy subnet routes are told as elected and exit routes always", () => {
  const engine = createAllowAll({ users: [], nodes: [node(1), node(2, ["0.0.0.0/0", "10.0.0.0/8"])] });
  const share = engine.viewOf(1 as NodeId).routesOf(2 as NodeId);
  assert.deepEqual(share.ifPrimary, [parsePrefix("10.0.0.0/8")]);
  assert.deepEqual(share.always, [parsePrefix("0.0.0.0/0")]);
  assert.equal(engine.viewOf(2 as NodeId).routesOf(2 as NodeId), share);
});

test("without a policy nodes come and go in every view, and only they are named", () => {
  const engine = createAllowAll({ users: [], nodes: [node(1), node(2)] });
  const view = engine.viewOf(1 as NodeId);
  assert.deepEqual(
    engine.apply([
      { kind: "node", node: node(7) },
      { kind: "node-removed", id: 2 as NodeId },
    ]),
    {
      everything: false,
      nodes: [7],
      peers: [7, 2],
    },
  );
  assert.deepEqual(view.peers(), [1, 7]);
  assert.equal(view.sees(2 as NodeId), false);
});

test("without a policy every well-formed tag exists and admins may apply it", () => {
  const engine = createAllowAll({ users: [user(1, "member"), user(2, "admin")], nodes: [] });
  assert.equal(engine.tagExists("tag:web"), true);
  assert.equal(engine.tagExists("tag:1web"), false);
  assert.equal(engine.mayTag({ user: 2 as UserId, tags: [] }, "tag:web"), true);
  assert.equal(engine.mayTag({ user: 1 as UserId, tags: [] }, "tag:web"), false);
});
