// /ts2021 over a WebSocket, as clients in a browser have it: a whole session, beside one over a plain socket.
import assert from "node:assert/strict";
import { test } from "node:test";
import { controlWorld } from "./control-world.ts";
import { generousSeconds, until } from "./patience.ts";

for (const tls of [false, true]) {
  test(`a browser's client lives a whole session over ${tls ? "wss" : "ws"}`, async (context) => {
    const world = await controlWorld(context, { tls });
    const plain = await world.join({ hostname: "plain" });
    const browser = world.client({ hostname: "browser", webSocket: true });

    const answer = await browser.join({ authKey: await world.authKey() });
    assert.equal(answer.MachineAuthorized, true);
    const netmap = await browser.openMap();
    assert.equal(netmap.self?.Name, "browser.sim.internal.");
    assert.deepEqual(
      [...netmap.peers.values()].map(({ Name }) => Name),
      ["plain.sim.internal."],
    );
    const [own, other] = [netmap.self.ID, plain.netmap.self?.ID ?? 0];
    await until("its peer sees it online", () => plain.netmap.peers.get(own)?.Online === true);
    await until("it sees its peer online", () => netmap.peers.get(other)?.Online === true);

    // Deltas, both ways, on the stream that stands.
    const before = netmap.applied;
    await plain.update({ endpoints: ["192.0.2.9:41641"] });
    await until("its peer's endpoint arrives", () => netmap.peers.get(other)?.Endpoints?.[0] === "192.0.2.9:41641");
    await browser.update({ endpoints: [], netInfo: { PreferredDERP: 999 } });
    await until("its own home region arrives", () => plain.netmap.peers.get(own)?.HomeDERP === 999);
    assert.ok(netmap.applied > before);

    // The server asks it over the stream, and it answers on the same connection.
    const probe = await world.server.calls.probe(own, generousSeconds * 1000);
    assert.ok(probe.ok);

    // A third node comes and goes.
    const third = await world.join({ hostname: "third", webSocket: true });
    const thirdId = third.netmap.self?.ID;
    assert.ok(thirdId !== undefined);
    await until("the third one comes", () => netmap.peers.has(thirdId));
    assert.ok((await world.server.tailnet.deleteNode(world.actor, thirdId)).ok);
    await until("the third one goes", () => !netmap.peers.has(thirdId));

    // A new node key over the same connection.
    browser.rotateNodeKey();
    await browser.join({ authKey: await world.authKey() });
    assert.equal((await browser.openMap()).self?.ID, own);
    await until("the new key arrives", () => plain.netmap.peers.get(own)?.Key === browser.nodeKeyText);
  });
}

test("a browser whose WebSocket broke is offline, and online again when it is back", async (context) => {
  const world = await controlWorld(context);
  const [plain, browser] = [await world.join(), await world.join({ webSocket: true })];
  const id = browser.netmap.self?.ID ?? 0;
  const isOnline = (): boolean | undefined => plain.netmap.peers.get(id)?.Online;
  await until("it is seen online", () => isOnline() === true);
  browser.disconnect();
  await until("it is seen offline", () => isOnline() === false, 30);
  await browser.openMap();
  await until("it is seen online again", () => isOnline() === true);
});

test("a browser follows a network of a hundred nodes through many changes", async (context) => {
  const world = await controlWorld(context);
  const authKey = await world.authKey({ reusable: true });
  const others = Array.from({ length: 100 }, () => world.client());
  await Promise.all(others.map((other) => other.join({ authKey })));
  const browser = await world.join({ webSocket: true });
  assert.equal(browser.netmap.peers.size, 100);
  const [first] = others;
  assert.ok(first !== undefined);
  for (let port = 1; port <= 50; port++) {
    await first.update({ endpoints: [`192.0.2.1:${port}`] });
  }
  const seen = (): string | undefined =>
    [...browser.netmap.peers.values()].find(({ Key }) => Key === first.nodeKeyText)?.Endpoints?.[0];
  await until("the last of many updates arrives", () => seen() === "192.0.2.1:50");
});
