// How the edge writes to many at once: in turns, and in buffers that are used again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { sealedLength } from "../wire/record.ts";
import { createManualClock } from "../identity/manual-clock.test-data.ts";
import { createControlCounters } from "./counters.ts";
import { edgeRig, message, until } from "./edge-rig.test-data.ts";
import { textReply } from "./reply.ts";
import { createSealBuffers, sealStep } from "./seal-buffers.ts";
import { createWriteTurns, type Writer } from "./write-turns.ts";

test("large messages to many clients, one of which reads late, arrive whole though their buffers are used again", async (context) => {
  const rig = await edgeRig(context);
  rig.answer = (request) => rig.link.openStream(request.id, request.id * 64);
  const clients = await Promise.all(Array.from({ length: 12 }, () => rig.connect()));
  const streams = await Promise.all(clients.map((client) => client.map({})));
  const late = clients[3];
  late?.socket.pause();
  for (let round = 0; round < 8; round++) {
    for (let session = 1; session <= streams.length; session++) {
      // Each says something else, so that bytes of another message would show; a forged record would end the stream.
      rig.link.deliver(message({ session, round, text: String.fromCharCode(97 + session).repeat(300_000) }), [
        session * 64,
      ]);
    }
    await until(() => rig.counters.messagesDelivered === (round + 1) * streams.length);
  }
  late?.socket.resume();
  const heard = new Set<number>();
  for (const stream of streams) {
    for (let round = 0; round < 8; round++) {
      const told = (await stream.next()) as { session: number; round: number; text: string };
      assert.equal(told.round, round);
      assert.equal(told.text, String.fromCharCode(97 + told.session).repeat(300_000));
      heard.add(told.session);
    }
  }
  assert.equal(heard.size, streams.length);
});

test("what one turn brings for a session leaves in one write and in order, be it one message or several", async (context) => {
  const rig = await edgeRig(context);
  rig.answer = (request) => rig.link.openStream(request.id, request.id * 64);
  const client = await rig.connect();
  const stream = await client.map({});
  const sizes = [1, 2, 1, 3, 1, 1];
  let number = 0;
  let writes = 0;
  client.socket.on("data", () => writes++);
  for (const size of sizes) {
    const before = number;
    const written = writes;
    for (let count = 0; count < size; count++) {
      rig.link.deliver(message({ number: number++ }), [64]);
    }
    for (let expected = before; expected < number; expected++) {
      assert.deepEqual(await stream.next(), { number: expected });
    }
    assert.equal(writes, written + 1);
  }
  // The longest that is a record by itself, one more, and one behind which the stream ends.
  for (const length of [4064, 4065, 4066, 4067, 4068, 4069, 4070, 10]) {
    rig.link.deliver(message("x".repeat(length - 6)), [64]);
    if (length === 10) {
      rig.link.end(64);
    } else {
      await turn();
    }
    assert.equal(await stream.next(), "x".repeat(length - 6));
  }
  assert.equal(await stream.next(), undefined);
});

test("a message that waits alone goes with its stream when the client takes that back", async (context) => {
  const rig = await edgeRig(context);
  rig.answer = (request) => rig.link.openStream(request.id, request.id * 64);
  const client = await rig.connect();
  const first = await client.map({});
  const second = await client.map({});
  first.cancel();
  await until(() => rig.seen.includes("closed 64"));
  rig.link.deliver(message({ to: "both" }), [64, 128]);
  assert.deepEqual(await second.next(), { to: "both" });
  assert.equal(rig.counters.messagesDelivered, 1);
  // Both sessions of one connection in one turn: the first waits alone until the second joins it.
  const third = await client.map({});
  rig.link.deliver(message({ to: "two" }), [128, 192]);
  assert.deepEqual(await second.next(), { to: "two" });
  assert.deepEqual(await third.next(), { to: "two" });
});

test("small messages to one that reads late arrive whole and in order, though all are sealed in one buffer", async (context) => {
  const rig = await edgeRig(context);
  rig.answer = (request) => rig.link.openStream(request.id, request.id * 64);
  const late = await rig.connect();
  const prompt = await rig.connect();
  const streams = [await late.map({}), await prompt.map({})];
  late.socket.pause();
  const rounds = 3000;
  for (let round = 0; round < rounds; round++) {
    rig.link.deliver(message({ round, text: String.fromCharCode(97 + (round % 26)).repeat(3900) }), [64, 128]);
    await turn();
  }
  late.socket.resume();
  for (const stream of streams) {
    for (let round = 0; round < rounds; round++) {
      const told = (await stream.next()) as { round: number; text: string };
      assert.equal(told.round, round);
      assert.equal(told.text, String.fromCharCode(97 + (round % 26)).repeat(3900));
    }
  }
});

test("acknowledgements wait for the answer to leave with, but not for long", async (context) => {
  const rig = await edgeRig(context);
  rig.answer = () => undefined;
  const client = await rig.connect();
  const chunks: Buffer[] = [];
  client.socket.on("data", (bytes: Buffer) => chunks.push(bytes));
  const held = client.request("POST", "/machine/register", "{}");
  await until(() => rig.requests.length === 1);
  await turn();
  const before = chunks.length;
  // Nobody answers: the acknowledgement of the client's SETTINGS goes alone.
  rig.clock.advance(10);
  await until(() => chunks.length > before);
  rig.link.reply(1, textReply(200, "late"));
  assert.equal((await held).status, 200);

  rig.answer = (request) => setImmediate(() => rig.link.reply(request.id, textReply(200, "at once")));
  const quick = await rig.connect();
  const parts: Buffer[] = [];
  quick.socket.on("data", (bytes: Buffer) => parts.push(bytes));
  assert.equal((await quick.request("POST", "/machine/register", "{}")).status, 200);
  assert.equal(parts.length, 1, "acknowledgement and answer in one write");
});

test("writing to many is done in slices, between which others have their turn", async (context) => {
  // Every look at the clock finds that a slice is over.
  const rig = await edgeRig(context, { haste: 50 });
  rig.answer = (request) => rig.link.openStream(request.id, request.id * 64);
  const clients = await Promise.all(Array.from({ length: 40 }, () => rig.connect()));
  const streams = await Promise.all(clients.map((client) => client.map({})));
  const writes: number[] = [];
  let turns = 0;
  const count = (): void => {
    turns++;
    if (writes.length < streams.length) {
      setImmediate(count);
    }
  };
  for (const stream of streams) {
    void stream.next().then(() => writes.push(turns));
  }
  rig.link.deliver(
    message({ hello: "all" }),
    streams.map((_, index) => (index + 1) * 64),
    rig.clock.now(),
  );
  setImmediate(count);
  await until(() => writes.length === streams.length);
  assert.ok(Math.max(...writes) - Math.min(...writes) >= 3, "five slices of eight");
  const counted = (): number => rig.counters.propagation.counts.reduce((sum, many) => sum + many, 0);
  await until(() => counted() > 0);
  assert.equal(counted(), streams.length, "each session is counted once, when all are written");
});

test("a writer that fails does not keep the others from being written to, now and later", async () => {
  const failed: string[] = [];
  const written: string[] = [];
  const turns = createWriteTurns<Writer & { name: string }>(createManualClock(), createControlCounters(), ({ name }) =>
    failed.push(name),
  );
  const writer = (name: string, flush = (): void => void written.push(name)) => ({ name, flush, settle() {} });
  const broken = writer("broken", () => {
    throw new RangeError("a fault of the program");
  });
  for (let round = 0; round < 2; round++) {
    [writer("before"), broken, writer("behind")].forEach((each) => turns.add(each));
    await turn();
  }
  assert.deepEqual(failed, ["broken", "broken"]);
  assert.deepEqual(written, ["before", "behind", "before", "behind"]);
});

test("buffers for sealing are used again, and only so many are kept", () => {
  const buffers = createSealBuffers(2);
  const [first, second, third] = [buffers.take(), buffers.take(), buffers.take()];
  assert.equal(first.length, sealedLength(sealStep));
  assert.equal(new Set([first, second, third]).size, 3);
  for (const buffer of [first, second, third]) {
    buffers.giveBack(buffer);
  }
  assert.equal(buffers.take(), second);
  assert.equal(buffers.take(), first);
  assert.notEqual(buffers.take(), third);
});

test("buffers that nobody needed from one rest to the next are let go of", () => {
  const buffers = createSealBuffers(10);
  const taken = [buffers.take(), buffers.take(), buffers.take(), buffers.take()];
  for (const buffer of taken) {
    buffers.giveBack(buffer);
  }
  buffers.rest();
  // Two are in use at a time until the next rest.
  const [one, two] = [buffers.take(), buffers.take()];
  buffers.giveBack(one);
  buffers.giveBack(two);
  buffers.rest();
  const kept = [buffers.take(), buffers.take(), buffers.take()];
  assert.equal(kept.filter((buffer) => taken.includes(buffer)).length, 2);
});

test("what is let go of is not left to the collector: its bytes are freed at once", () => {
  const buffers = createSealBuffers(3);
  const taken = [buffers.take(), buffers.take(), buffers.take(), buffers.take()];
  const inUse = (): number => taken.filter(({ buffer }) => buffer.byteLength > 0).length;
  taken.forEach((buffer) => buffers.giveBack(buffer));
  assert.equal(inUse(), 3);
  buffers.rest();
  // One is needed until the next rest.
  const again = buffers.take();
  buffers.giveBack(again);
  buffers.rest();
  assert.equal(inUse(), 1);
  assert.ok(again.length > 0);
});
