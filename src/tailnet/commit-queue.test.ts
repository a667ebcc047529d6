import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryStore } from "../store/memory.ts";
import { sampleUser } from "../store/store-suite.ts";
import { admin, errorOf, makeKey, makeUser, must, nodeKey, registration, rig, turn } from "../../test/tailnet-rig.ts";

/** A disk that waits until it is told to go on. */
function gatedDisk() {
  const waiting: (() => void)[] = [];
  let gated = false;
  return {
    disk: () => (gated ? new Promise<void>((resolve) => waiting.push(resolve)) : Promise.resolve()),
    close: () => (gated = true),
    open: () => {
      gated = false;
      for (const go of waiting.splice(0)) {
        go();
      }
    },
  };
}

test("nothing is seen before it is durable", async () => {
  const gate = gatedDisk();
  const world = await rig({ store: { disk: gate.disk } });
  gate.close();
  const created = world.tailnet.createUser(admin, { name: "ada" });
  await turn();
  assert.deepEqual(world.tailnet.users(), []);
  assert.deepEqual(world.batches, []);
  gate.open();
  must(await created);
  assert.equal(world.tailnet.users().length, 1);
});

test("commands that wait for the disk share the next commit and are one version", async () => {
  const gate = gatedDisk();
  const world = await rig({ store: { disk: gate.disk } });
  gate.close();
  const first = world.tailnet.createUser(admin, { name: "first" });
  await turn();
  const more = Array.from({ length: 100 }, (_, i) => world.tailnet.createUser(admin, { name: `user${i}` }));
  await turn();
  gate.open();
  await Promise.all([first, ...more]);
  assert.equal(world.commits, 2);
  assert.deepEqual(
    world.batches.map(({ changes }) => changes.length),
    [1, 100],
  );
});

test("where several came at once the next commit is put off a little; one after the other never waits", async () => {
  let lingered = 0;
  const gate = gatedDisk();
  const world = await rig({
    store: { disk: gate.disk },
    linger: () => {
      lingered++;
      return turn();
    },
  });
  for (let count = 0; count < 5; count++) {
    must(await world.tailnet.createUser(admin, { name: `single${count}` }));
  }
  assert.equal(lingered, 0);
  gate.close();
  const first = world.tailnet.createUser(admin, { name: "first" });
  await turn();
  const second = world.tailnet.createUser(admin, { name: "second" });
  gate.open();
  await first;
  // Comes while the queue lingers, and shares the second's commit.
  const third = world.tailnet.createUser(admin, { name: "third" });
  await Promise.all([second, third]);
  assert.equal(lingered, 2, "after the first commit, behind which one waited, and after that of two");
  assert.equal(world.commits, 5 + 2);
});

test("a command that needs to know what becomes of another waits for it", async () => {
  const world = await rig();
  const { tailnet } = world;
  const created = tailnet.createUser(admin, { name: "ada" });
  const renamed = created.then((result) => tailnet.renameUser(admin, must(result).id, "eve"));
  must(await renamed);
  const [ada] = tailnet.users();
  const results = await Promise.all([
    tailnet.renameUser(admin, ada?.id ?? must(await created).id, "bob"),
    tailnet.createUser(admin, { name: "eve" }),
    tailnet.createUser(admin, { name: "bob" }),
  ]);
  assert.deepEqual(
    results.map(({ ok }) => ok),
    [true, true, false],
  );
});

test("a commit that fails refuses its commands and changes nothing; the next ones are tried again", async () => {
  let broken = false;
  const world = await rig({
    store: {
      disk: async () => {
        if (broken) {
          throw new Error("disk full");
        }
      },
    },
  });
  const { tailnet } = world;
  const user = await makeUser(tailnet, "ada");
  const key = await makeKey(tailnet, { user: user.id, reusable: false });
  broken = true;
  const refused = await tailnet.register(admin, registration(1, 1), key);
  assert.equal(refused.ok ? "" : refused.error.code, "unavailable");
  assert.deepEqual(tailnet.nodes(), []);
  assert.match(world.warnings.join(), /disk full/);
  broken = false;
  const node = must(await tailnet.register(admin, registration(1, 1), key));
  assert.equal(node.givenName, "host1", "the name was given back");
});

test("a commit that was stored though it seemed to fail is found before the next command", async () => {
  let lose = false;
  const world = await rig({
    wrapStore: (store) => ({
      ...store,
      commit: async (groups) => {
        const outcome = await store.commit(groups);
        if (lose) {
          lose = false;
          throw new Error("connection lost");
        }
        return outcome;
      },
    }),
  });
  const { tailnet } = world;
  lose = true;
  assert.equal((await tailnet.createUser(admin, { name: "ada" })).ok, false);
  assert.match(errorOf(await tailnet.createUser(admin, { name: "ada" })), /UNIQUE/);
  assert.deepEqual(
    tailnet.users().map(({ name }) => name),
    ["ada"],
  );
  assert.deepEqual(
    world.batches.map(({ changes }) => changes[0]?.kind),
    ["user-changed"],
  );
});

test("what a registration that seemed to fail stored of a node's routes gives way to what memory says", async () => {
  let lost = false;
  const world = await rig({
    wrapStore: (store) => ({
      ...store,
      commit: async (groups) => {
        const outcome = await store.commit(groups);
        if (lost) {
          throw new Error("connection lost");
        }
        return outcome;
      },
    }),
  });
  const user = await makeUser(world.tailnet, "ada");
  const key = await makeKey(world.tailnet, { user: user.id });
  const { id } = must(await world.tailnet.register(admin, registration(1, 1), key));
  lost = true;
  const again = registration(1, 2, { host: { RoutableIPs: ["10.0.0.0/8"] }, oldNodeKey: nodeKey(1) });
  assert.equal(errorOf(await world.tailnet.register(admin, again, key)), "the database did not accept the change");
  lost = false;
  must(await world.tailnet.createUser(admin, { name: "bob" }));
  await world.tailnet.close();
  const { tailnet } = await world.restart();
  assert.deepEqual(tailnet.node(id)?.hostinfo, world.tailnet.node(id)?.hostinfo);
});

test("what another server stored is found when it gets in the way", async () => {
  const world = await rig();
  const { tailnet } = world;
  const other = createMemoryStore({}, world.disk);
  await other.commit([[{ kind: "put-user", user: sampleUser(50, { name: "ada" }) }]]);
  assert.match(errorOf(await tailnet.createUser(admin, { name: "ada" })), /UNIQUE/);
  assert.deepEqual(tailnet.users(), []);
  const bob = await makeUser(tailnet, "bob");
  assert.deepEqual(
    tailnet
      .users()
      .map(({ name }) => name)
      .sort(),
    ["ada", "bob"],
  );
  assert.ok(bob.id > 50, "ids go on after what the other gave out");
});

test("a bug in a command that needs no commit is its caller's alone, and it is not tried again", async () => {
  const world = await rig();
  const user = await makeUser(world.tailnet, "bob");
  const key = await makeKey(world.tailnet, { user: user.id });
  must(await world.tailnet.register(admin, registration(1, 1), key));
  let tries = 0;
  const hostinfo = {
    get OS(): string {
      tries++;
      throw new RangeError("a fault of the program");
    },
  };
  const broken = registration(1, 1, { hostinfo });
  await assert.rejects(world.tailnet.register(admin, broken, key), /a fault of the program/);
  const before = tries;
  must(await world.tailnet.createUser(admin, { name: "ada" }));
  assert.equal(tries, before);
});

test("closing finishes what waits and takes nothing more", async () => {
  const world = await rig();
  const pending = world.tailnet.createUser(admin, { name: "ada" });
  await world.tailnet.close();
  must(await pending);
  const late = await world.tailnet.createUser(admin, { name: "late" });
  assert.deepEqual([late.ok, errorOf(late)], [false, "the server is stopping"]);
});
