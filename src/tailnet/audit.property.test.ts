// The audit log under random commands: whatever changed something durable is told, with what was before and is after;
// the chain holds after all of it, over restarts, failing disks and pruning; and no secret stands in it.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { sha256 } from "../store/audit.ts";
import type { NodeId } from "../wire/ids.ts";
import { admin, machineKey, must, nodeKey, prefix, registration, type Rig, rig, turn } from "../../test/tailnet-rig.ts";
import { AuditCheck, verifyAudit } from "./audit-chain.ts";
import type { Result } from "./contract.ts";
import type { StoredAuditEntry, Write } from "./store.ts";

interface World extends Rig {
  readonly secrets: string[];
}
type Step = (world: World) => Promise<Result<unknown>> | undefined;

const small = fc.nat({ max: 4 });
const names = fc.constantFrom("ada", "bob", "a\u0000b", "☃", "\ud800");

function nth<Item>(items: readonly Item[], index: number): Item | undefined {
  return items.length === 0 ? undefined : items[index % items.length];
}

/** Keeps the secret that a command hands out. */
async function kept<Value extends { readonly secret: string }>(
  world: World,
  answer: Promise<Result<Value>>,
): Promise<Result<Value>> {
  const result = await answer;
  if (result.ok) {
    world.secrets.push(result.value.secret);
  }
  return result;
}

const onNode =
  (index: number, act: (world: World, id: NodeId) => Promise<Result<unknown>>): Step =>
  (world) => {
    const node = nth(world.tailnet.nodes(), index);
    return node === undefined ? undefined : act(world, node.id);
  };

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(names, names).map(
    ([name, displayName]): Step =>
      ({ tailnet }) =>
        tailnet.createUser({ ...admin, from: displayName }, { name, displayName }),
  ),
  fc.tuple(small, names).map(([n, name]): Step => ({ tailnet }) => {
    const user = nth(tailnet.users(), n);
    return user === undefined ? undefined : tailnet.renameUser(admin, user.id, name);
  }),
  small.map((n): Step => ({ tailnet }) => {
    const user = nth(tailnet.users(), n);
    return user === undefined ? undefined : tailnet.deleteUser(admin, user.id);
  }),
  small.map((n): Step => (world) => {
    const user = nth(world.tailnet.users(), n)?.id ?? null;
    const key = { user, reusable: n % 2 === 0, ephemeral: n === 3, tags: user === null ? ["tag:a"] : [] };
    return kept(world, world.tailnet.createPreAuthKey(admin, { ...key, expiration: null }));
  }),
  fc.tuple(small, fc.boolean()).map(([n, expire]): Step => ({ tailnet }) => {
    const key = nth(tailnet.preAuthKeys(), n);
    return key === undefined
      ? undefined
      : expire
        ? tailnet.expirePreAuthKey(admin, key.id)
        : tailnet.deletePreAuthKey(admin, key.id);
  }),
  small.map(
    (): Step => (world) =>
      kept(world, world.tailnet.createApiKey(admin, { expiration: null, description: "for tests" })),
  ),
  fc.tuple(small, fc.boolean()).map(([n, expire]): Step => ({ tailnet }) => {
    const key = nth(tailnet.apiKeys(), n);
    return key === undefined
      ? undefined
      : expire
        ? tailnet.expireApiKey(admin, key.id)
        : tailnet.deleteApiKey(admin, key.id);
  }),
  {
    weight: 5,
    arbitrary: fc.tuple(small, small, small).map(([machine, key, secret]): Step => (world) => {
      const message = registration(machine + 1, key + 1, { host: { RoutableIPs: ["10.0.0.0/8"] } });
      const chosen = nth(
        world.secrets.filter((text) => text.startsWith("hskey-auth-")),
        secret,
      );
      if (chosen !== undefined) {
        return world.tailnet.register(admin, message, { kind: "auth-key", secret: chosen });
      }
      const user = world.tailnet.users()[0];
      return user && world.tailnet.register(admin, message, { kind: "approved", user: user.id, method: "cli" });
    }),
  },
  fc.tuple(small, small).map(
    ([machine, key]): Step =>
      ({ tailnet }) =>
        tailnet.logout(machineKey(machine + 1), nodeKey(key + 1)),
  ),
  fc
    .tuple(small, names)
    .map(([n, name]) => onNode(n, ({ tailnet }, id) => tailnet.renameNode(admin, id, `box-${name}`))),
  small.map((n) =>
    onNode(n, ({ tailnet }, id) => tailnet.setApprovedRoutes(admin, id, n === 0 ? [] : [prefix("10.0.0.0/8")])),
  ),
  small.map((n) => onNode(n, ({ tailnet, now }, id) => tailnet.expireNode(admin, id, n === 0 ? null : now + n))),
  small.map((n) => onNode(n, ({ tailnet }, id) => tailnet.setTags(admin, id, ["tag:a"]))),
  small.map((n) => onNode(n, ({ tailnet }, id) => tailnet.deleteNode(admin, id))),
  fc.constantFrom("tag tag:a", "auto 10.0.0.0/8\ntag tag:a", "").map(
    (text): Step =>
      ({ tailnet }) =>
        tailnet.setPolicy(admin, text),
  ),
  small.map(
    (): Step =>
      ({ tailnet }) =>
        tailnet.backfillAddresses(admin),
  ),
  small.map(
    (n): Step =>
      ({ tailnet, now }) =>
        tailnet.pruneAudit(now - n * 2000),
  ),
);

/** Writes that are nobody's command: a key's last use, a hash that is exchanged for a faster one, pruning itself. */
function isCommand(group: readonly Write[]): boolean {
  return group.some(({ kind }) => kind !== "put-api-key" && kind !== "prune-audit");
}

async function wholeLog({ store }: Rig): Promise<readonly StoredAuditEntry[]> {
  return store.auditLog({ after: 0, limit: 100_000 });
}

const rounds = fc.array(fc.tuple(fc.array(steps, { minLength: 1, maxLength: 5 }), fc.nat({ max: 12 })), {
  maxLength: 20,
});
const numRuns = Number(process.env["HAWSER_PROPERTY_RUNS"] ?? 25);

test("whatever changes is told, the chain holds, and no secret is in it", async () => {
  await fc.assert(
    fc.asyncProperty(rounds, async (batches) => {
      let failing = false;
      const world: World = Object.assign(
        await rig({
          store: {
            disk: async () => {
              if (failing) {
                throw new Error("disk full");
              }
            },
          },
          wrapStore: (store) => ({
            ...store,
            commit: (groups) => {
              for (const group of groups) {
                const told = group.filter(({ kind }) => kind === "audit").length;
                assert.ok(told > 0 || !isCommand(group), JSON.stringify(group));
              }
              return store.commit(groups);
            },
          }),
        }),
        { secrets: [] },
      );
      must(await world.tailnet.createUser(admin, { name: "first" }));
      for (const [batch, luck] of batches) {
        failing = luck === 0;
        world.now += 1000;
        await Promise.all(batch.map(async (step) => step(world)));
        await turn();
        failing = false;
      }
      const verdict = await verifyAudit(world.tailnet, sha256);
      assert.deepEqual(verdict.faults, []);
      const log = await wholeLog(world);
      assert.equal(verdict.entries, log.length);
      const text = JSON.stringify(log);
      for (const secret of world.secrets) {
        assert.ok(!text.includes(secret) && !text.includes(secret.slice(-64)));
        assert.ok(!text.includes(sha256(secret)) && !text.includes(sha256(secret.slice(-64))));
      }
      for (const entry of log) {
        // A login that finds all as it was is told too, and so is a policy set once more, and the second of two people
        // who end the same key in one millisecond.
        const again = ["node.renew", "policy.set", "api-key.expire", "auth-key.expire"].includes(entry.action);
        assert.ok(again || entry.before !== entry.after, `${entry.action} tells a change`);
        assert.ok(entry.actorKind !== "" && entry.action !== "");
      }
      await world.tailnet.close();
      const { tailnet } = await world.restart();
      must(await tailnet.createUser(admin, { name: "last" }));
      assert.equal((await verifyAudit(tailnet, sha256, log.at(-1)?.hash)).ok, true);
    }),
    { numRuns },
  );
});

test("any one change to a log is found, when its newest hash was noted", async () => {
  const world = await rig();
  for (let n = 0; n < 12; n++) {
    world.now += 1000;
    must(await world.tailnet.createUser(admin, { name: `user${n}` }));
  }
  must(await world.tailnet.pruneAudit(world.now - 6000));
  const log = await wholeLog(world);
  const { head, anchor } = await world.tailnet.auditChain();
  const judge = (entries: readonly StoredAuditEntry[]): boolean => {
    const check = new AuditCheck(anchor, sha256);
    for (const entry of entries) {
      check.take(entry);
    }
    return check.finish(head).ok;
  };
  assert.equal(judge(log), true);
  const at = fc.nat({ max: log.length - 1 });
  const field = fc.constantFrom(
    "actorKind",
    "actorId",
    "from",
    "action",
    "target",
    "before",
    "after",
    "hash",
    "previous",
  );
  const tampered = fc.oneof(
    fc
      .tuple(at, field, fc.string())
      .map(([n, name, text]) => log.map((e, i) => (i === n ? { ...e, [name]: text } : e))),
    fc
      .tuple(at, fc.integer(), fc.constantFrom("id", "at"))
      .map(([n, number, name]) => log.map((e, i) => (i === n ? { ...e, [name]: number } : e))),
    fc.tuple(at, fc.integer({ min: 1, max: 3 })).map(([n, count]) => log.toSpliced(n, count)),
    fc.tuple(at, at).map(([n, to]) => log.toSpliced(n, 1).toSpliced(to, 0, ...log.slice(n, n + 1))),
    fc.tuple(at, at).map(([n, of]) => log.toSpliced(n, 0, ...log.slice(of, of + 1))),
    at.map((n) => log.slice(0, n)),
  );
  fc.assert(
    fc.property(tampered, (entries) => judge(entries) === (JSON.stringify(entries) === JSON.stringify(log))),
    { numRuns: 300 },
  );
});
