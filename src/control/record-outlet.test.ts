// What a connection writes, and whose the bytes are meanwhile.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { before, test, type TestContext } from "node:test";
import { ChunkList } from "../wire/h2-output.ts";
import { RecordReader } from "../wire/record.ts";
import { wasmReady } from "../wire/aead-wasm.ts";
import { until } from "./edge-rig.test-data.ts";
import { maxAlone, RecordOutlet } from "./record-outlet.ts";
import { createSealBuffers } from "./seal-buffers.ts";
import { socketTransport, type Transport } from "./transport.ts";

before(() => wasmReady);

const head = Buffer.from("123456789");

function textMessage(text: string): { chunks: Uint8Array[]; length: number } {
  return { chunks: [Buffer.from(text)], length: text.length };
}

/** A transport that keeps what it was given without a copy, and says of each whether it is done with it. */
function keeping(done: () => boolean): { transport: Transport; kept: Uint8Array[] } {
  const kept: Uint8Array[] = [];
  const transport: Transport = {
    start() {},
    write(bytes) {
      kept.push(bytes);
      return true;
    },
    lend(bytes) {
      const isDone = done();
      kept.push(isDone ? Uint8Array.from(bytes) : bytes);
      return isDone;
    },
    end() {},
    destroy() {},
  };
  return { transport, kept };
}

function opened(key: Uint8Array, records: readonly Uint8Array[]): string[] {
  const texts: string[] = [];
  const reader = new RecordReader(key);
  for (const record of records) {
    assert.equal(
      reader.push(Uint8Array.from(record), (text) => texts.push(Buffer.from(text).toString())),
      undefined,
    );
  }
  return texts;
}

test("a record that a socket has not taken keeps its bytes, whatever is written to the others", () => {
  const buffers = createSealBuffers();
  const taken = [true, false, true, false, false, true];
  const outlets = taken.map((isTaken, index) => {
    const key = Buffer.alloc(32, index + 1);
    const { transport, kept } = keeping(() => isTaken);
    return { key, kept, outlet: new RecordOutlet({ transport, sendKey: key, buffers, now: () => 0 }) };
  });
  const message = textMessage("the same for all".repeat(20));
  outlets.forEach(({ outlet }, index) => {
    assert.equal(outlet.writeAlone(head, message), taken[index] === true ? "taken" : "full");
  });
  // Others of another length, and of the same.
  for (const text of ["short", "x".repeat(maxAlone), "THE SAME LENGTH!".repeat(20)]) {
    outlets[0]?.outlet.writeAlone(head, textMessage(text));
  }
  for (const { key, kept } of outlets) {
    assert.equal(opened(key, kept)[0], `123456789${"the same for all".repeat(20)}`);
  }
});

test("a message alone and what goes the usual way are records of one direction", () => {
  const key = Buffer.alloc(32, 7);
  const { transport, kept } = keeping(() => true);
  const outlet = new RecordOutlet({ transport, sendKey: key, buffers: createSealBuffers(), now: () => 0 });
  const output = new ChunkList();
  const message = textMessage("alone");
  outlet.writeAlone(head, message);
  output.add(Buffer.from("queued"));
  assert.equal(outlet.write(output), "taken");
  outlet.writeAlone(head, message);
  outlet.writeAlone(Buffer.from("987654321"), message);
  outlet.writeAlone(head, textMessage(""));
  assert.deepEqual(opened(key, kept), ["123456789alone", "queued", "123456789alone", "987654321alone", "123456789"]);
});

test("thousands that are told the same are sealed for in one and the same buffer", () => {
  const buffers = createSealBuffers();
  const seen = new Set<Uint8Array>();
  const transport: Transport = {
    start() {},
    write: () => true,
    lend(bytes) {
      seen.add(bytes);
      return true;
    },
    end() {},
    destroy() {},
  };
  const message = textMessage("news");
  for (let index = 0; index < 2000; index++) {
    new RecordOutlet({ transport, sendKey: Buffer.alloc(32, index), buffers, now: () => 0 }).writeAlone(head, message);
  }
  assert.equal(seen.size, 1);
});

/** Both ends of a connection on loopback. */
async function socketPair(context: TestContext): Promise<readonly [Socket, Socket]> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const far = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [near] = (await once(server, "connection")) as [Socket];
  context.after(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return [near, far];
}

test("bytes lent to a socket are the lender's again, or arrive as they were lent, and drain tells of it", async (context) => {
  const [near, far] = await socketPair(context);
  const transport = socketTransport(near, Buffer.alloc(0));
  let drains = 0;
  transport.start({ data() {}, drain: () => drains++, closed() {} });
  far.pause();
  let bytes: Buffer;
  let lent = 0;
  let isBack: boolean;
  do {
    bytes = Buffer.alloc(4000, lent);
    isBack = transport.lend(bytes);
    lent++;
    if (isBack) {
      // It is ours: what is written over it must not arrive.
      bytes.fill(0xee);
    }
  } while (isBack && lent < 100_000);
  assert.equal(isBack, false, "the system does not take everything");
  assert.equal(drains, 0);
  let received = 0;
  far.on("data", (chunk: Buffer) => {
    for (const byte of chunk) {
      assert.equal(byte, Math.floor(received / 4000) & 0xff);
      received++;
    }
  });
  far.resume();
  await until(() => drains > 0);
  await until(() => received === lent * 4000);
  assert.equal(transport.lend(Buffer.alloc(10)), true, "there is room again");
  assert.equal(drains, 1);
});

test("a stream that may hold on to what it is given gets a copy", async () => {
  const stream = new PassThrough();
  const transport = socketTransport(stream, Buffer.alloc(0));
  const bytes = Buffer.from("lent");
  assert.equal(transport.lend(bytes), true);
  bytes.fill(0);
  const [read] = (await once(stream, "data")) as [Buffer];
  assert.equal(read.toString(), "lent");
});

test("nothing is lent to a socket that has ended", async (context) => {
  const [near] = await socketPair(context);
  const transport = socketTransport(near, Buffer.alloc(0));
  near.destroy();
  assert.equal(transport.lend(Buffer.from("late")), false);
});
