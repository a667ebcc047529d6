import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { createAllowAll } from "../policy/allow-all.ts";
import { generatePrivateKey, nodeKeyText } from "../wire/keys.ts";
import type { SSHAction } from "../wire/tailcfg.ts";
import type { NoiseClient } from "./noise-client.test-data.ts";
import { actor, type ControlRig, registerBody, startRig } from "./rig.test-data.ts";

const hour = 3_600_000;

async function pair(context: TestContext, period: number | undefined) {
  const rig = await startRig(context, {
    policy: (world) => ({
      ...createAllowAll(world),
      sshCheckPeriod: (_source, _destination, user) => (user === "root" ? undefined : period),
    }),
  });
  const [source, destination] = [await join(rig), await join(rig)];
  const path = (user = "alice") => `/machine/ssh/action/${source.id}/to/${destination.id}?local_user=${user}`;
  return { rig, source, destination, path };
}

async function join(rig: ControlRig) {
  const nodeKey = generatePrivateKey();
  const machine = generatePrivateKey();
  const client = await rig.connect(machine);
  await client.request("POST", "/machine/register", registerBody(nodeKey, { Auth: { AuthKey: await rig.authKey() } }));
  const node = rig.tailnet.nodeByKey(nodeKeyText(nodeKey.publicRaw));
  assert.ok(node);
  return { client, machine, id: node.id, node };
}

async function ask(client: NoiseClient, path: string): Promise<SSHAction> {
  const answer = await client.request("GET", path);
  assert.equal(answer.status, 200, answer.body.toString());
  return JSON.parse(answer.body.toString()) as SSHAction;
}

/** The path of a holdAndDelegate URL, with the client's variables filled in. */
function next(action: SSHAction, user = "alice"): string {
  const url = new URL((action.holdAndDelegate ?? "").replace("$LOCAL_USER", user));
  return url.pathname + url.search;
}

test("the user is sent to a page, the session waits, and goes on when somebody approves", async (context) => {
  const { rig, destination, source, path } = await pair(context, hour);
  const first = await ask(destination.client, path());
  const id = /\/auth\/(hskey-authreq-[A-Za-z0-9_-]{24})/.exec(first.message ?? "")?.[1] ?? "";
  assert.equal(rig.pending.get(id)?.kind, "ssh-check");
  const waiting = ask(destination.client, next(first));
  rig.pending.settle(id, { kind: "approved", node: source.node });
  assert.equal((await waiting).accept, true);
  assert.equal((await ask(destination.client, path())).accept, true, "and is remembered");
  rig.clock.advance(hour);
  const later = await rig.connect(destination.machine);
  assert.equal((await ask(later, path())).accept, undefined, "for as long as the rule says");
});

test("an approval that comes when the rule has gone opens nothing, nor does one for a node that has gone", async (context) => {
  let period: number | undefined = hour;
  const rig = await startRig(context, {
    policy: (world) => ({ ...createAllowAll(world), sshCheckPeriod: () => period }),
  });
  for (const change of ["the rule", "the node"] as const) {
    const [source, destination] = [await join(rig), await join(rig)];
    const first = await ask(
      destination.client,
      `/machine/ssh/action/${source.id}/to/${destination.id}?local_user=alice`,
    );
    const before = rig.counters.requests;
    const waiting = ask(destination.client, next(first));
    await rig.settle(() => rig.counters.requests > before);
    if (change === "the rule") {
      period = undefined;
    } else {
      assert.ok((await rig.tailnet.deleteNode(actor, source.id)).ok);
    }
    const id = new URL(first.holdAndDelegate ?? "").searchParams.get("auth_id") ?? "";
    rig.pending.settle(id, { kind: "approved", node: source.node });
    assert.deepEqual([(await waiting).accept, (await waiting).reject], [undefined, true], change);
    period = hour;
  }
});

test("a rejected session is rejected, and one without a check rule too", async (context) => {
  const { rig, destination, source, path } = await pair(context, hour);
  const first = await ask(destination.client, path());
  const id = new URL(first.holdAndDelegate ?? "").searchParams.get("auth_id") ?? "";
  rig.pending.settle(id, { kind: "rejected" });
  assert.equal((await ask(destination.client, next(first))).reject, true);
  assert.equal((await ask(destination.client, path("root"))).reject, true);
  assert.ok(source);
});

test("an approval opens no other session: another user, another source, another caller", async (context) => {
  const { rig, destination, source, path } = await pair(context, hour);
  const other = await join(rig);
  const first = await ask(destination.client, path());
  const id = new URL(first.holdAndDelegate ?? "").searchParams.get("auth_id") ?? "";
  rig.pending.settle(id, { kind: "approved", node: source.node });
  const asBob = await ask(destination.client, `${path("bob")}&auth_id=${id}`);
  assert.equal(asBob.accept, undefined);
  const fromOther = `/machine/ssh/action/${other.id}/to/${destination.id}?local_user=alice&auth_id=${id}`;
  assert.equal((await ask(destination.client, fromOther)).accept, undefined);
  for (const caller of [source.client, other.client, await rig.connect()]) {
    const answer = await caller.request("GET", `${path()}&auth_id=${id}`);
    assert.equal(answer.status, 404);
  }
});

test("a session that nobody decides about is told to ask again", async (context) => {
  const { rig, destination, path } = await pair(context, hour);
  const first = await ask(destination.client, path());
  const timers = rig.clock.timers;
  const waiting = ask(destination.client, next(first));
  await rig.settle(() => rig.clock.timers > timers);
  rig.clock.advance(120_000);
  const again = await waiting;
  assert.equal(next(again), next(first));
});

test("broken paths are refused", async (context) => {
  const { destination, path } = await pair(context, hour);
  assert.equal((await destination.client.request("GET", path("a".repeat(257)))).status, 400);
  for (const path of [
    "/machine/ssh/action/",
    "/machine/ssh/action/0/to/1",
    "/machine/ssh/action/1/to/x",
    "/machine/ssh/action/9999999999999999999/to/1",
  ]) {
    assert.equal((await destination.client.request("GET", path)).status, 400, path);
  }
});
