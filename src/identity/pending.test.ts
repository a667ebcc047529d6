import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { Registration } from "../tailnet/contract.ts";
import type { Node } from "../tailnet/model.ts";
import { parseMachineKey, parseNodeKey } from "../wire/ids.ts";
import type { MachineKey, NodeId } from "../wire/ids.ts";
import { createManualClock } from "./manual-clock.test-data.ts";
import { createPending, parseAuthId } from "./pending.ts";

function hex(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
function machine(name: string): MachineKey {
  const key = parseMachineKey(`mkey:${hex(name)}`);
  assert.ok(key);
  return key;
}
function registration(machineName: string, keyName = "1"): Registration {
  const nodeKey = parseNodeKey(`nodekey:${hex(machineName + keyName)}`);
  assert.ok(nodeKey);
  return { machineKey: machine(machineName), nodeKey, hostinfo: {}, capVersion: 142, ephemeral: false };
}
/** Settlements carry the node through; nothing looks into it. */
const node = { id: 7 } as unknown as Node;

function room(options: { capacity?: number; perMachine?: number; capacityBytes?: number } = {}) {
  const clock = createManualClock();
  let count = 0;
  const randomBytes = (length: number): Uint8Array =>
    createHash("sha512").update(String(count++)).digest().subarray(0, length);
  return { clock, pending: createPending({ clock, randomBytes, ...options }) };
}
const never = new AbortController().signal;

test("an id has headscale's form and is found again", () => {
  const { pending } = room();
  const id = pending.open(registration("a"), "192.0.2.1");
  assert.match(id, /^hskey-authreq-[A-Za-z0-9_-]{24}$/);
  assert.equal(parseAuthId(id), id);
  assert.equal(pending.get(id)?.kind, "register");
  assert.equal(parseAuthId(`${id}x`), undefined);
  assert.equal(parseAuthId("../../etc/passwd"), undefined);
});

test("the same machine and node key keep their id, and what was said last counts", () => {
  const { pending } = room();
  const first = pending.open(registration("a"), "192.0.2.1");
  const again = pending.open({ ...registration("a"), hostinfo: { Hostname: "new" } }, "192.0.2.9");
  assert.equal(again, first);
  const entry = pending.get(first);
  assert.equal(entry?.kind === "register" ? entry.registration.hostinfo.Hostname : "", "new");
  assert.equal(pending.list().length, 1);
  assert.notEqual(pending.open(registration("a", "2"), "192.0.2.1"), first);
});

test("an entry lives for fifteen minutes from when it was last asked for", () => {
  const { clock, pending } = room();
  const id = pending.open(registration("a"), "");
  clock.advance(14 * 60_000);
  pending.open(registration("a"), "");
  clock.advance(14 * 60_000);
  assert.ok(pending.get(id));
  clock.advance(2 * 60_000);
  assert.equal(pending.get(id), undefined);
  assert.deepEqual(pending.list(), []);
});

test("whoever waits is woken by the decision, and a late one learns it too", async () => {
  const { clock, pending } = room();
  const id = pending.open(registration("a"), "");
  const waiting = pending.wait(id, machine("a"), never, 120_000);
  assert.equal(pending.settle(id, { kind: "approved", node }), true);
  assert.deepEqual(await waiting, { kind: "approved", node });
  assert.deepEqual(await pending.wait(id, machine("a"), never, 1), { kind: "approved", node });
  assert.equal(pending.settle(id, { kind: "rejected" }), false, "a decision stands");
  assert.equal(pending.get(id), undefined, "and is no longer open");
  assert.equal(clock.timers, 0, "no timer is left behind");
});

test("waiting ends by time, by the caller, and when the entry is lost", async () => {
  const { clock, pending } = room({ perMachine: 1 });
  const id = pending.open(registration("a"), "");
  const patient = pending.wait(id, machine("a"), never, 1000);
  clock.advance(1000);
  assert.deepEqual(await patient, { kind: "timeout" });
  const leaving = new AbortController();
  const left = pending.wait(id, machine("a"), leaving.signal, 1000);
  leaving.abort();
  assert.deepEqual(await left, { kind: "aborted" });
  const displaced = pending.wait(id, machine("a"), never, 1000);
  pending.open(registration("a", "2"), "");
  assert.deepEqual(await displaced, { kind: "unknown" });
  assert.equal(clock.timers, 0);
});

test("another machine that learned the id is told nothing", async () => {
  const { pending } = room();
  const id = pending.open(registration("a"), "");
  assert.deepEqual(await pending.wait(id, machine("thief"), never, 1000), { kind: "unknown" });
  pending.settle(id, { kind: "approved", node });
  assert.deepEqual(await pending.wait(id, machine("thief"), never, 1000), { kind: "unknown" });
});

test("an approved SSH check opens exactly the session it was asked for", async () => {
  const { pending } = room();
  const check = { sourceNode: 1 as NodeId, destinationNode: 2 as NodeId, localUser: "alice" };
  const id = pending.openCheck(check, "");
  assert.equal(pending.openCheck(check, ""), id);
  pending.settle(id, { kind: "approved", node });
  assert.equal((await pending.waitCheck(id, check, never, 1)).kind, "approved");
  for (const other of [
    { ...check, localUser: "root" },
    { ...check, sourceNode: 3 as NodeId },
    { ...check, destinationNode: 4 as NodeId },
  ]) {
    assert.equal((await pending.waitCheck(id, other, never, 1)).kind, "unknown");
  }
  assert.equal((await pending.wait(id, machine("a"), never, 1)).kind, "unknown");
});

test("a flood from one place does not push out those of others", () => {
  const { pending } = room();
  const honest = Array.from({ length: 40 }, (_, index) =>
    pending.open(registration(`honest ${index}`), `198.51.100.${index}`),
  );
  for (let index = 0; index < 5000; index++) {
    pending.open(registration(`flood ${index}`), "203.0.113.1");
  }
  const late = pending.open(registration("late"), "198.51.100.200");
  assert.equal(pending.list().length, 1024);
  for (const id of [...honest, late]) {
    assert.ok(pending.get(id), "an honest login survives the flood");
  }
});

test("among entries of one place those go first that nobody waits for", () => {
  const { pending } = room();
  const id = pending.open(registration("honest"), "203.0.113.1");
  void pending.wait(id, machine("honest"), never, 60_000);
  for (let index = 0; index < 3000; index++) {
    pending.open(registration(`flood ${index}`), "203.0.113.1");
  }
  assert.ok(pending.get(id));
  pending.settle(id, { kind: "rejected" });
});

test("a machine that keeps inventing node keys displaces only itself", () => {
  const { pending } = room();
  const other = pending.open(registration("other"), "192.0.2.1");
  for (let index = 0; index < 100; index++) {
    pending.open(registration("busy", String(index)), "192.0.2.1");
  }
  assert.equal(pending.list().length, 9);
  assert.ok(pending.get(other));
});

test("of many who wait for one login the last few do, and the others are sent round again", async () => {
  const { clock, pending } = room();
  const id = pending.open(registration("a"), "");
  const outcomes: string[] = [];
  const waits = Array.from({ length: 10 }, async (_, index) => {
    const { kind } = await pending.wait(id, machine("a"), never, 60_000);
    outcomes.push(`${index} ${kind}`);
  });
  await Promise.all(waits.slice(0, 6));
  assert.deepEqual(outcomes, ["0 timeout", "1 timeout", "2 timeout", "3 timeout", "4 timeout", "5 timeout"]);
  assert.equal(clock.timers, 4);
  pending.settle(id, { kind: "rejected" });
  await Promise.all(waits);
  assert.deepEqual(outcomes.slice(6), ["6 rejected", "7 rejected", "8 rejected", "9 rejected"]);
});

/** Little on the wire, much in memory. */
function heavy(name: string): Registration {
  const X = Array.from({ length: 20_000 }, () => ({}));
  return { ...registration(name), hostinfo: { extra: { X } } };
}

test("heavy logins push out their own kind before they fill the memory, wherever they come from", () => {
  const { pending } = room({ capacityBytes: 4 * 1024 * 1024 });
  const honest = Array.from({ length: 100 }, (_, index) => {
    const hostinfo = { Hostname: `laptop-${index}`, OS: "linux", OSVersion: "6.1", GoArch: "amd64" };
    return pending.open({ ...registration(`honest ${index}`), hostinfo }, `198.51.100.${index}`);
  });
  for (let index = 0; index < 60; index++) {
    pending.open(heavy(`flood ${index}`), index % 2 === 0 ? "203.0.113.1" : `2001:db8:${index}::/64`);
  }
  assert.ok(pending.list().length < 104, `${pending.list().length} entries`);
  for (const id of honest) {
    assert.ok(pending.get(id), "an honest login survives the flood");
  }
});

test("a login that becomes heavy when it is asked for again counts as what it has become", () => {
  const { pending } = room({ capacityBytes: 4 * 1024 * 1024 });
  const honest = pending.open(registration("honest"), "198.51.100.1");
  for (let index = 0; index < 20; index++) {
    pending.open(registration(`flood ${index}`), "203.0.113.1");
  }
  for (let index = 0; index < 20; index++) {
    pending.open(heavy(`flood ${index}`), "203.0.113.1");
  }
  assert.ok(pending.list().length < 21);
  assert.ok(pending.get(honest));
});
