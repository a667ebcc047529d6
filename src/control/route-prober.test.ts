// Routers that share a prefix, over real sockets, on a clock that the test moves: who answers keeps the route.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { parsePrefix } from "../ip/index.ts";
import type { NodeId } from "../wire/ids.ts";
import { generatePrivateKey, nodeKeyText } from "../wire/keys.ts";
import { silentLog } from "./log.ts";
import { actor, type ControlRig, mapBody, registerBody, startRig } from "./rig.test-data.ts";
import { startRouteProber } from "./route-prober.ts";

const route = "10.1.0.0/24";

interface Router {
  readonly id: NodeId;
  answers: boolean;
  reconnect(): Promise<void>;
}

async function router(rig: ControlRig, hostname: string): Promise<Router> {
  const nodeKey = generatePrivateKey();
  const client = await rig.connect();
  const Hostinfo = { Hostname: hostname, RoutableIPs: [route] };
  await client.request(
    "POST",
    "/machine/register",
    registerBody(nodeKey, { Hostinfo, Auth: { AuthKey: await rig.authKey() } }),
  );
  const node = rig.tailnet.nodeByKey(nodeKeyText(nodeKey.publicRaw));
  const prefix = parsePrefix(route);
  assert.ok(node && prefix);
  await rig.tailnet.setApprovedRoutes(actor, node.id, [prefix]);
  const state: Router = {
    id: node.id,
    answers: true,
    async reconnect() {
      const stream = await client.map(mapBody(nodeKey, { Stream: true, Hostinfo }));
      await stream.next();
    },
  };
  client.onPing = (ping) => {
    if (state.answers) {
      void client.request("HEAD", ping.URL.slice("https://control.test:8080".length)).catch(() => undefined);
    }
  };
  await state.reconnect();
  return state;
}

async function pair(context: TestContext) {
  const rig = await startRig(context);
  const first = await router(rig, "first");
  const second = await router(rig, "second");
  const prober = startRouteProber({
    tailnet: rig.tailnet,
    calls: rig.core.calls,
    sessions: rig.core.sessions,
    clock: rig.clock,
    log: silentLog,
    intervalMs: 5000,
    timeoutMs: 4000,
  });
  context.after(() => prober.stop());
  /** Moves on second by second; answers travel in between. */
  const pass = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second++) {
      rig.clock.advance(1000);
      for (let count = 0; count < 40; count++) {
        await turn();
      }
    }
  };
  const primary = (): NodeId | undefined => rig.tailnet.primaries().get(route);
  return { rig, first, second, pass, primary };
}

test("a router that is connected but silent loses its route within fifteen seconds", async (context) => {
  const { first, second, pass, primary } = await pair(context);
  assert.equal(primary(), first.id);
  await pass(12);
  assert.equal(primary(), first.id, "who answers stays");
  first.answers = false;
  await pass(15);
  assert.equal(primary(), second.id);
});

test("one lost answer is no reason, and a router that answers again does not take the route back", async (context) => {
  const { first, second, pass, primary } = await pair(context);
  first.answers = false;
  await pass(6);
  first.answers = true;
  await pass(10);
  assert.equal(primary(), first.id);
  first.answers = false;
  await pass(15);
  assert.equal(primary(), second.id);
  first.answers = true;
  await pass(30);
  assert.equal(primary(), second.id, "no flapping");
});

test("when all are silent the route stays where it is", async (context) => {
  const { first, second, pass, primary } = await pair(context);
  first.answers = false;
  second.answers = false;
  await pass(30);
  assert.equal(primary(), first.id);
});

test("a new stream is a fresh start", async (context) => {
  const { first, second, pass, primary } = await pair(context);
  first.answers = false;
  await pass(15);
  assert.equal(primary(), second.id);
  first.answers = true;
  await first.reconnect();
  await pass(6);
  second.answers = false;
  await pass(15);
  assert.equal(primary(), first.id);
});

test("nodes that share no route are left alone", async (context) => {
  const { rig, first, pass } = await pair(context);
  await rig.tailnet.setApprovedRoutes(actor, first.id, []);
  const before = rig.counters.probesSent;
  await pass(20);
  assert.equal(rig.counters.probesSent, before);
});
