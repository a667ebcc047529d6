// Between a login's beginning and its approval, and after it, the world may have changed: what was asked is judged by
// what is then.
import assert from "node:assert/strict";
import { test } from "node:test";
import { controlWorld, type ControlWorld } from "../control-world.ts";

async function approve(world: ControlWorld, authUrl: string): Promise<number> {
  const made = await world.server.tailnet.createApiKey(world.actor, { expiration: null });
  assert.ok(made.ok);
  const { status } = await fetch(new URL("/api/v1/auth/register", world.url), {
    method: "POST",
    headers: { authorization: `Bearer ${made.value.secret}` },
    body: JSON.stringify({ user: "alice", authId: authUrl.slice(authUrl.lastIndexOf("/") + 1) }),
  });
  return status;
}

test("a node key that another machine got meanwhile is not given to whoever asked for it first", async (context) => {
  const world = await controlWorld(context);
  const owner = world.client();
  const thief = world.client({ nodeKey: owner.nodeKey });
  const { AuthURL } = await thief.register();
  await owner.join({ authKey: await world.authKey() });
  const before = JSON.stringify(world.server.tailnet.nodes());
  assert.notEqual(await approve(world, AuthURL), 200);
  const answer = await thief.register({ followup: AuthURL });
  assert.match(answer.Error, /another machine/);
  assert.equal(answer.User.ID, 0);
  assert.equal(JSON.stringify(world.server.tailnet.nodes()), before);
});

test("a link that was approved lets in the machine that showed it, and no other, once or often", async (context) => {
  const world = await controlWorld(context);
  const asking = world.client();
  const { AuthURL } = await asking.register();
  assert.equal(await approve(world, AuthURL), 200);
  const listener = world.client();
  const overheard = await listener.register({ followup: AuthURL });
  assert.deepEqual([overheard.User.ID, overheard.Login.LoginName, overheard.Error], [0, "", ""]);
  assert.notEqual(overheard.AuthURL, AuthURL);
  assert.notEqual(overheard.AuthURL, "");
  assert.equal((await asking.register({ followup: AuthURL })).Login.LoginName, "alice");
  assert.notEqual(await approve(world, AuthURL), 200, "an approval is given once");
  assert.equal(world.server.tailnet.nodes().length, 1);
  // With the link alone the same machine's other key opens nothing.
  asking.rotateNodeKey();
  asking.nodeKey = listener.nodeKey;
  const other = await asking.register({ followup: AuthURL });
  assert.deepEqual([other.Login.LoginName, world.server.tailnet.nodes().length], ["", 1]);
});

test("an approval for a node that is gone opens nothing any more", async (context) => {
  const world = await controlWorld(context);
  const asking = world.client();
  const { AuthURL } = await asking.register();
  assert.equal(await approve(world, AuthURL), 200);
  const [node] = world.server.tailnet.nodes();
  assert.ok(node !== undefined);
  await world.server.tailnet.deleteNode(world.actor, node.id);
  await asking.register({ followup: AuthURL });
  assert.equal(world.server.tailnet.nodes().length, 0);
  const map = await asking.request("POST", "/machine/map", asking.mapBody({ OmitPeers: true }));
  assert.equal(map.status, 404);
});
