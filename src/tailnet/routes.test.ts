import assert from "node:assert/strict";
import { test } from "node:test";
import { formatPrefix } from "../ip/index.ts";
import type { NodeId } from "../wire/ids.ts";
import {
  admin,
  defined,
  errorOf,
  makeUser,
  must,
  prefix,
  registration,
  type Rig,
  rig,
  turn,
} from "../../test/tailnet-rig.ts";
import type { Node } from "./model.ts";

const lan = "10.1.0.0/16";

async function router(world: Rig, machine: number, routes: readonly string[], approved = routes): Promise<Node> {
  const { tailnet } = world;
  const user = tailnet.usersByName("ada")[0] ?? (await makeUser(tailnet, "ada"));
  const host = { RoutableIPs: routes };
  const credential = { kind: "approved", user: user.id, method: "cli" } as const;
  const node = must(await tailnet.register(admin, registration(machine, machine, { host }), credential));
  return must(await tailnet.setApprovedRoutes(admin, node.id, approved.map(prefix)));
}

function texts(prefixes: Node["routes"]): readonly string[] {
  return prefixes.map(formatPrefix);
}

function primary(world: Rig, route = lan): NodeId | undefined {
  return world.tailnet.primaries().get(route);
}

test("effective routes are those both advertised and approved, whatever host bits were typed", async () => {
  const world = await rig();
  const node = await router(world, 1, [lan, "10.2.0.0/16", "nonsense"], ["10.1.2.3/16", "10.3.0.0/16"]);
  assert.deepEqual(texts(node.advertised), [lan, "10.2.0.0/16"]);
  assert.deepEqual(texts(node.approvedRoutes), [lan, "10.3.0.0/16"]);
  assert.deepEqual(texts(node.routes), [lan]);
});

test("exit routes are a pair: one approved is both, one advertised is none", async () => {
  const world = await rig();
  const exit = await router(world, 1, ["0.0.0.0/0", "::/0"], ["0.0.0.0/0"]);
  assert.deepEqual(texts(exit.approvedRoutes), ["0.0.0.0/0", "::/0"]);
  assert.deepEqual(texts(exit.routes), ["0.0.0.0/0", "::/0"]);
  world.tailnet.sessionOpened(exit.id);
  assert.equal(world.tailnet.primaries().size, 0);
  const half = await router(world, 2, ["0.0.0.0/0", lan]);
  assert.deepEqual(texts(half.routes), [lan]);
});

test("the first router online is primary, and stays so when others come", async () => {
  const world = await rig();
  const { tailnet } = world;
  const [one, two] = [await router(world, 1, [lan]), await router(world, 2, [lan])];
  assert.equal(primary(world), undefined);
  tailnet.sessionOpened(two.id);
  assert.equal(primary(world), two.id);
  tailnet.sessionOpened(one.id);
  assert.equal(primary(world), two.id, "no flapping back to the lower id");
  assert.deepEqual(texts(defined(tailnet.node(two.id)).primaryRoutes), [lan]);
  assert.deepEqual(tailnet.node(one.id)?.primaryRoutes, []);
});

test("when the primary goes offline the lowest id takes over, and keeps it", async () => {
  const world = await rig();
  const { tailnet } = world;
  const nodes = [await router(world, 1, [lan]), await router(world, 2, [lan]), await router(world, 3, [lan])];
  const [one, two, three] = nodes.map(({ id }) => id) as [NodeId, NodeId, NodeId];
  for (const id of [one, three, two]) {
    tailnet.sessionOpened(id);
  }
  tailnet.sessionClosed(one);
  world.now += 9_999;
  tailnet.tick();
  assert.equal(primary(world), one, "still within the grace");
  world.now += 1;
  world.batches.length = 0;
  tailnet.tick();
  assert.equal(primary(world), two);
  assert.equal(world.batches.length, 1, "offline and election are one batch");
  tailnet.sessionOpened(one);
  assert.equal(primary(world), two);
});

test("an unhealthy primary gives way to a healthy router; when none is healthy it stays", async () => {
  const world = await rig();
  const { tailnet } = world;
  const [one, two] = [await router(world, 1, [lan]), await router(world, 2, [lan])];
  tailnet.sessionOpened(one.id);
  tailnet.sessionOpened(two.id);
  tailnet.setRouteHealth(one.id, false);
  assert.equal(primary(world), two.id);
  tailnet.setRouteHealth(two.id, false);
  assert.equal(primary(world), two.id);
  tailnet.setRouteHealth(one.id, true);
  assert.equal(primary(world), one.id);
  tailnet.setRouteHealth(two.id, true);
  assert.equal(primary(world), one.id);
});

test("a verdict ends with a reconnect, and does not bar the only router left", async () => {
  const world = await rig();
  const { tailnet } = world;
  const [one, two] = [await router(world, 1, [lan]), await router(world, 2, [lan])];
  tailnet.sessionOpened(one.id);
  tailnet.sessionOpened(two.id);
  tailnet.setRouteHealth(two.id, false);
  tailnet.sessionClosed(one.id);
  world.now += 10_000;
  tailnet.tick();
  assert.equal(primary(world), two.id, "the only one");
  tailnet.sessionOpened(one.id);
  assert.equal(primary(world), one.id, "a healthy one came back");
  tailnet.setRouteHealth(one.id, false);
  assert.equal(primary(world), one.id, "both unhealthy: the current one stays");
  tailnet.sessionOpened(two.id);
  assert.equal(primary(world), two.id, "a new session clears the verdict");
});

test("expiry, deletion, withdrawal and disapproval each move the primary", async () => {
  const steps: ((world: Rig, node: Node) => Promise<unknown>)[] = [
    async ({ tailnet }, node) => must(await tailnet.expireNode(admin, node.id, 1)),
    async ({ tailnet }, node) => must(await tailnet.deleteNode(admin, node.id)),
    async ({ tailnet }, node) => must(await tailnet.setApprovedRoutes(admin, node.id, [])),
    async ({ tailnet }, node) => tailnet.updatePresence(node.id, { hostinfo: { Hostname: "host1" } }),
    async (world, node) => {
      must(await world.tailnet.expireNode(admin, node.id, world.now + 5));
      assert.equal(primary(world), node.id);
      world.now += 5;
      world.tailnet.tick();
    },
  ];
  for (const [index, step] of steps.entries()) {
    const world = await rig();
    const [one, two] = [await router(world, 1, [lan]), await router(world, 2, [lan])];
    world.tailnet.sessionOpened(one.id);
    world.tailnet.sessionOpened(two.id);
    assert.equal(primary(world), one.id);
    await step(world, one);
    assert.equal(primary(world), two.id, `step ${index}`);
  }
});

test("auto-approval runs at registration, on new advertisement and on a new policy, and never removes", async () => {
  const world = await rig();
  const { tailnet } = world;
  must(await tailnet.setPolicy(admin, `auto ${lan}`));
  const node = await router(world, 1, [lan], []);
  assert.deepEqual(node.approvedRoutes, [], "an admin may take it back");
  tailnet.updatePresence(node.id, { hostinfo: { Hostname: "host1", RoutableIPs: [lan, "10.2.0.0/16"] } });
  await turn();
  assert.deepEqual(texts(defined(tailnet.node(node.id)).routes), [lan]);
  must(await tailnet.setPolicy(admin, "auto 10.2.0.0/16"));
  assert.deepEqual(texts(defined(tailnet.node(node.id)).routes), [lan, "10.2.0.0/16"]);
  assert.equal(
    world.batches.at(-1)?.changes.some(({ kind }) => kind === "policy-replaced"),
    true,
  );
});

test("routes of a node that nobody knows are refused", async () => {
  const { tailnet } = await rig();
  assert.equal(errorOf(await tailnet.setApprovedRoutes(admin, 9 as NodeId, [])), "node not found");
});
