// Random commands, several at once, over a store that sometimes fails: whatever happens, the invariants hold, and a
// tailnet loaded anew from the store is the one in memory.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { formatPrefix, isExitRoute } from "../ip/index.ts";
import { createMemoryStore } from "../store/memory.ts";
import type { UserId } from "../wire/ids.ts";
import {
  addrText,
  admin,
  machineKey,
  makeKey,
  makeUser,
  must,
  nodeKey,
  prefix,
  registration,
  type Rig,
  rig,
  type RigOptions,
  turn,
} from "../../test/tailnet-rig.ts";
import type { Credential, Result, Tailnet } from "./contract.ts";
import { recordOf } from "./derive.ts";
import type { Node } from "./model.ts";

interface World extends Rig {
  readonly keys: readonly Credential[];
  readonly users: readonly UserId[];
}

const routes = ["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "::/0"];
const small = fc.nat({ max: 5 });

/** One step: gives back the promise of a command, or nothing for presence and the clock. */
type Step = (world: World) => Promise<Result<unknown>> | undefined;

function nth<Item>(items: readonly Item[], index: number): Item | undefined {
  return items.length === 0 ? undefined : items[index % items.length];
}

function onNode(
  world: World,
  index: number,
  act: (tailnet: Tailnet, node: Node) => ReturnType<Step>,
): ReturnType<Step> {
  const node = nth(world.tailnet.nodes(), index);
  return node === undefined ? undefined : act(world.tailnet, node);
}

const someRoutes = fc.subarray(routes);

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({ machine: small, key: small, old: small, credential: small, advertised: someRoutes, tag: fc.boolean() })
      .map(({ machine, key, old, credential, advertised, tag }): Step => (world) => {
        const host = {
          Hostname: `box${machine % 2}`,
          RoutableIPs: advertised,
          ...(tag ? { RequestTags: ["tag:a"] } : {}),
        };
        const message = registration(machine + 1, key + 1, { host, ...(old > 0 ? { oldNodeKey: nodeKey(old) } : {}) });
        const chosen = nth(world.keys, credential);
        return chosen === undefined ? undefined : world.tailnet.register(admin, message, chosen);
      }),
  },
  small.map(
    (n): Step =>
      ({ tailnet }) =>
        tailnet.logout(machineKey(n + 1), nodeKey(n + 1)),
  ),
  small.map(
    (n): Step =>
      (world) =>
        onNode(world, n, (tailnet, node) => tailnet.deleteNode(admin, node.id)),
  ),
  fc.tuple(small, small).map(
    ([n, name]): Step =>
      (world) =>
        onNode(world, n, (tailnet, node) => tailnet.renameNode(admin, node.id, `box${name}`)),
  ),
  fc.tuple(small, someRoutes).map(
    ([n, approved]): Step =>
      (world) =>
        onNode(world, n, (tailnet, node) => tailnet.setApprovedRoutes(admin, node.id, approved.map(prefix))),
  ),
  small.map(
    (n): Step =>
      (world) =>
        onNode(world, n, (tailnet, node) => tailnet.setTags(admin, node.id, ["tag:a"])),
  ),
  fc.tuple(small, small).map(
    ([n, user]): Step =>
      (world) =>
        onNode(world, n, (tailnet, node) => tailnet.moveNode(admin, node.id, world.users[user % 2] ?? (9 as UserId))),
  ),
  fc.tuple(small, fc.option(small)).map(
    ([n, expiry]): Step =>
      (world) =>
        onNode(world, n, (tailnet, node) =>
          tailnet.expireNode(admin, node.id, expiry === null ? null : world.now + expiry * 1000),
        ),
  ),
  small.map(
    (n): Step =>
      ({ tailnet }) =>
        tailnet.createUser(admin, { name: `user${n}` }),
  ),
  small.map((n): Step => ({ tailnet }) => {
    const user = nth(tailnet.users(), n);
    return user === undefined ? undefined : tailnet.deleteUser(admin, user.id);
  }),
  small.map((n): Step => ({ tailnet }) => {
    const key = nth(tailnet.preAuthKeys(), n);
    return key === undefined ? undefined : tailnet.deletePreAuthKey(admin, key.id);
  }),
  fc.constantFrom("tag tag:a", "auto 10.0.0.0/8\ntag tag:a", "").map(
    (text): Step =>
      ({ tailnet }) =>
        tailnet.setPolicy(admin, text),
  ),
  {
    weight: 4,
    arbitrary: fc.tuple(small, fc.constantFrom("open", "close", "sick", "well", "advertise", "rename")).map(
      ([n, what]): Step =>
        (world) =>
          onNode(world, n, (tailnet, node) => {
            switch (what) {
              case "open":
                tailnet.sessionOpened(node.id);
                break;
              case "close":
                tailnet.sessionClosed(node.id);
                break;
              case "sick":
              case "well":
                tailnet.setRouteHealth(node.id, what === "well");
                break;
              case "advertise":
                tailnet.updatePresence(node.id, { hostinfo: { ...node.hostinfo, RoutableIPs: routes } });
                break;
              case "rename":
                tailnet.updatePresence(node.id, { hostinfo: { ...node.hostinfo, Hostname: "box7" } });
                break;
            }
            return undefined;
          }),
    ),
  },
  small.map((n): Step => (world) => {
    world.now += n * 5000;
    world.tailnet.tick();
    return undefined;
  }),
);

function unique(values: readonly (string | number)[], what: string): void {
  assert.equal(new Set(values).size, values.length, `${what}: ${values.join(" ")}`);
}

function checkInvariants({ tailnet, now }: World): void {
  const nodes = tailnet.nodes();
  unique(
    nodes.map(({ id }) => id),
    "ids",
  );
  unique(
    nodes.map(({ nodeKey }) => nodeKey),
    "node keys",
  );
  unique(
    nodes.map(({ givenName }) => givenName),
    "names",
  );
  unique(
    nodes.flatMap(({ ipv4, ipv6 }) => [addrText(ipv4), addrText(ipv6)]),
    "addresses",
  );
  const owned = nodes.filter(({ userId }) => userId !== null);
  unique(
    owned.map(({ machineKey, userId }) => `${machineKey} ${userId}`),
    "machine and user",
  );
  unique(
    nodes.filter(({ tags }) => tags.length > 0).map(({ machineKey }) => machineKey),
    "tagged node of a machine",
  );
  for (const node of nodes) {
    assert.equal(node.userId === null, node.tags.length > 0, "a user or tags");
    assert.ok(node.userId === null || tailnet.user(node.userId) !== undefined, "its user exists");
    assert.equal(tailnet.nodeByKey(node.nodeKey), node);
    assert.ok(tailnet.nodesByMachine(node.machineKey).includes(node));
    const approved = new Set(node.approvedRoutes.map(formatPrefix));
    assert.ok(node.routes.every((route) => approved.has(formatPrefix(route))));
  }
  const won = nodes.flatMap((node) => node.primaryRoutes.map((route) => [formatPrefix(route), node.id] as const));
  assert.deepEqual(new Map(won), new Map(tailnet.primaries()));
  for (const [route, id] of tailnet.primaries()) {
    const node = nodes.find((candidate) => candidate.id === id);
    assert.ok(
      node?.online === true && (node.expiry === null || node.expiry > now),
      `${route} has a primary that serves`,
    );
    assert.ok(node.routes.some((own) => formatPrefix(own) === route && !isExitRoute(own)));
  }
}

/** Everything durable is the same in a tailnet that was loaded from the disk; presence too, once it is written. */
function checkReload(world: World, { tailnet }: Rig, presenceWritten: boolean): void {
  const shown = (reader: Tailnet) => ({
    nodes: reader.nodes().map(recordOf),
    routes: presenceWritten ? reader.nodes().map(({ id, routes }) => [id, routes.map(formatPrefix)]) : [],
    users: reader.users(),
    preAuthKeys: [...reader.preAuthKeys()].sort((left, right) => left.id - right.id),
    policy: reader.policyVersion,
  });
  assert.deepEqual(shown(tailnet), shown(world.tailnet));
}

/** How a commit may go wrong: not stored, or stored and nobody told. */
type Trouble = "none" | "fails" | "answer-lost";

async function start(trouble: () => Trouble, more: RigOptions = {}): Promise<World> {
  const world = await rig({
    wrapStore: (store) => ({
      ...store,
      commit: async (groups) => {
        if (trouble() === "fails") {
          throw new Error("disk full");
        }
        const outcome = await store.commit(groups);
        if (trouble() === "answer-lost") {
          throw new Error("connection lost");
        }
        return outcome;
      },
    }),
    ...more,
  });
  const { tailnet } = world;
  const [ada, bob] = [await makeUser(tailnet, "ada"), await makeUser(tailnet, "bob")];
  const keys: Credential[] = [
    await makeKey(tailnet, { user: ada.id }),
    await makeKey(tailnet, { user: bob.id, ephemeral: true }),
    await makeKey(tailnet, { user: ada.id, reusable: false }),
    await makeKey(tailnet, { tags: ["tag:a"] }),
    { kind: "approved", user: ada.id, method: "cli" },
    { kind: "approved", user: bob.id, method: "oidc", expiry: world.now + 7000 },
  ];
  return Object.assign(world, { keys, users: [ada.id, bob.id] });
}

const batches = fc.array(fc.tuple(fc.array(steps, { minLength: 1, maxLength: 6 }), fc.nat({ max: 15 })), {
  maxLength: 25,
});

test("invariants hold under random commands at once, and a reload finds the same tailnet", async () => {
  await fc.assert(
    fc.asyncProperty(batches, async (rounds) => {
      let trouble: Trouble = "none";
      const world = await start(() => trouble);
      for (const [batch, luck] of rounds) {
        trouble = luck === 0 ? "fails" : luck === 1 ? "answer-lost" : "none";
        await Promise.all(batch.map(async (step) => step(world)));
        await turn();
        trouble = "none";
        checkInvariants(world);
      }
      must(await world.tailnet.createUser(admin, { name: "last" }));
      await world.tailnet.close();
      checkReload(world, await world.restart(), true);
    }),
    { numRuns: Number(process.env["HAWSER_PROPERTY_RUNS"] ?? 25) },
  );
});

test("a crash before a commit loses what was not acknowledged; one after it, at most that batch's answer", async () => {
  const rounds = fc.array(fc.array(steps, { minLength: 1, maxLength: 6 }), { maxLength: 12 });
  const crash = fc.record({ point: fc.constantFrom("before-commit", "after-commit"), after: fc.nat({ max: 8 }) });
  await fc.assert(
    fc.asyncProperty(rounds, crash, async (batches, { point, after }) => {
      const prepared = await start(() => "none");
      await prepared.tailnet.close();
      let reached = 0;
      const crashing = createMemoryStore({ crashAt: (at) => at === point && ++reached > after }, prepared.disk);
      const crashed = await rig({ disk: prepared.disk, wrapStore: () => crashing, at: prepared.now });
      const world: World = Object.assign(crashed, { keys: prepared.keys, users: prepared.users });
      const acknowledged = prepared.disk.sequence;
      for (const batch of batches) {
        await Promise.all(batch.map(async (step) => step(world)));
        await turn();
      }
      const survivor = await rig({ disk: prepared.disk, at: world.now });
      checkInvariants(Object.assign(survivor, { keys: [], users: [] }));
      if (point === "before-commit" || reached <= after) {
        checkReload(world, survivor, false);
      } else {
        assert.equal(prepared.disk.sequence, acknowledged + after + 1);
      }
    }),
    { numRuns: Number(process.env["HAWSER_PROPERTY_RUNS"] ?? 25) },
  );
});
