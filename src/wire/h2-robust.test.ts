// Our server against peers that break the rules: typed faults, bounded memory, exact flow control.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import {
  clientPreface,
  defaultWindow,
  errorCodes,
  flags,
  frameHeader,
  frames,
  numberFrame,
  settings,
  settingsAck,
  settingsFrame,
} from "./h2-frames.ts";
import { defaultLimits } from "./h2-limits.ts";
import { H2Server, responseHead } from "./h2-server.ts";
import { encodeFields, type HeaderField } from "./hpack.ts";

const requestFields: readonly HeaderField[] = [
  [":method", "POST"],
  [":scheme", "https"],
  [":authority", "unused"],
  [":path", "/machine/map"],
];
const requestBlock = encodeFields(requestFields);
const ok = responseHead(200);

function frame(type: number, frameFlags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([frameHeader(payload.length, type, frameFlags, stream), payload]);
}
const hello = Buffer.concat([clientPreface, settingsFrame([])]);
const request = (stream: number, end = true): Buffer =>
  frame(frames.headers, flags.endHeaders | (end ? flags.endStream : 0), stream, requestBlock);

interface Sent {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

interface Bench {
  readonly server: H2Server;
  readonly events: string[];
  readonly bodies: Map<number, number>;
  /** Takes what the server wants to write. */
  readonly sent: () => Sent[];
}

function bench(): Bench {
  const events: string[] = [];
  const bodies = new Map<number, number>();
  const server = new H2Server({
    request: (stream, head) => void events.push(`request ${stream} ${head.method} ${head.path}`),
    data: (stream, slice) => void bodies.set(stream, (bodies.get(stream) ?? 0) + slice.length),
    end: (stream) => void events.push(`end ${stream}`),
    reset: (stream, code) => void events.push(`reset ${stream} ${code}`),
    writable: (stream) => void events.push(`writable ${stream}`),
    goaway: (code) => void events.push(`goaway ${code}`),
  });
  return { server, events, bodies, sent: () => takeFrames(server) };
}

function takeFrames(server: H2Server): Sent[] {
  const bytes = Buffer.concat(server.output.chunks);
  assert.equal(bytes.length, server.output.length);
  server.output.clear();
  const list: Sent[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUIntBE(at, 3);
    list.push({
      type: bytes.readUInt8(at + 3),
      flags: bytes.readUInt8(at + 4),
      stream: bytes.readUInt32BE(at + 5),
      payload: bytes.subarray(at + 9, at + 9 + length),
    });
    at += 9 + length;
  }
  return list;
}

function greeted(): Bench {
  const made = bench();
  assert.equal(made.server.push(Buffer.from(hello), 0), undefined);
  made.sent();
  return made;
}

test("the server speaks first, asks for an empty header table and acknowledges settings", () => {
  const { server, sent } = bench();
  const [first] = sent();
  assert.equal(first?.type, frames.settings);
  const values = new Map<number, number>();
  for (let at = 0; at < (first?.payload.length ?? 0); at += 6) {
    values.set(first?.payload.readUInt16BE(at) ?? 0, first?.payload.readUInt32BE(at + 2) ?? 0);
  }
  assert.equal(values.get(settings.headerTableSize), 0);
  assert.ok((values.get(settings.maxConcurrentStreams) ?? 0) >= 128);
  assert.ok((values.get(settings.maxHeaderListSize) ?? 0) > 0);
  server.push(Buffer.from(hello), 0);
  assert.deepEqual(
    sent().map(({ type, flags: set }) => [type, set]),
    [[frames.settings, flags.ack]],
  );
});

test("a preface may come byte by byte, and a wrong one is refused", () => {
  const { server, events } = bench();
  for (const byte of Buffer.concat([hello, request(1)])) {
    assert.equal(server.push(Buffer.of(byte), 0), undefined);
  }
  assert.deepEqual(events, ["request 1 POST /machine/map", "end 1"]);
  assert.equal(bench().server.push(Buffer.from("GET / HTTP/1.1\r\n"), 0)?.reason, "bad-preface");
});

test("each rule that is broken ends the connection with its fault", () => {
  const repeat = (count: number, make: (index: number) => Buffer): Buffer =>
    Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));
  const resets = (make: (stream: number) => Buffer): Buffer =>
    repeat(defaultLimits.resets + 1, (index) => make(index * 2 + 1));
  const cases: readonly (readonly [string, Buffer])[] = [
    ["frame-size", frameHeader(16_385, frames.headers, 0, 1)],
    ["frame-size", frame(frames.ping, 0, 0, Buffer.alloc(7))],
    ["frame-size", frame(frames.settings, 0, 0, Buffer.alloc(5))],
    ["frame-size", frame(frames.windowUpdate, 0, 0, Buffer.alloc(3))],
    ["protocol", frame(frames.headers, flags.endHeaders, 0, requestBlock)],
    ["protocol", frame(frames.headers, flags.endHeaders, 2, requestBlock)],
    ["protocol", frame(frames.continuation, flags.endHeaders, 1)],
    ["protocol", frame(frames.pushPromise, 0, 1)],
    ["protocol", frame(frames.data, 0, 1)],
    ["protocol", numberFrame(frames.windowUpdate, 0, 0)],
    ["protocol", numberFrame(frames.windowUpdate, 7, 1)],
    ["protocol", numberFrame(frames.resetStream, 7, 0)],
    ["protocol", Buffer.concat([frame(frames.headers, 0, 1, requestBlock), frame(frames.ping, 0, 0, Buffer.alloc(8))])],
    ["protocol", settingsFrame([[settings.maxFrameSize, 1]])],
    ["padding", frame(frames.headers, flags.endHeaders | flags.padded, 1, Buffer.of(200, 0))],
    ["padding", Buffer.concat([request(1, false), frame(frames.data, flags.padded, 1, Buffer.of(1))])],
    ["padding", Buffer.concat([request(1, false), frame(frames.data, flags.padded, 1)])],
    ["compression", frame(frames.headers, flags.endHeaders, 1, Buffer.of(0x80))],
    ["flow-control", numberFrame(frames.windowUpdate, 0, 2 ** 31 - 1)],
    ["flow-control", settingsFrame([[settings.initialWindowSize, 2 ** 31]])],
    ["too-many-continuations", repeat(20, (index) => frame(index === 0 ? frames.headers : frames.continuation, 0, 1))],
    [
      "header-block-too-large",
      repeat(4, (index) => frame(index === 0 ? frames.headers : frames.continuation, 0, 1, Buffer.alloc(16_384))),
    ],
    ["ping-flood", repeat(defaultLimits.pings + 1, () => frame(frames.ping, 0, 0, Buffer.alloc(8)))],
    ["settings-flood", repeat(defaultLimits.settings + 1, () => settingsFrame([]))],
    [
      "empty-data-flood",
      Buffer.concat([request(1, false), repeat(defaultLimits.emptyData + 1, () => frame(frames.data, 0, 1))]),
    ],
    [
      "reset-flood",
      repeat(defaultLimits.resets + 1, (index) =>
        Buffer.concat([request(index * 2 + 1), numberFrame(frames.resetStream, index * 2 + 1, errorCodes.cancel)]),
      ),
    ],
    ["reset-flood", repeat(defaultLimits.streams + defaultLimits.resets + 1, (index) => request(index * 2 + 1))],
    // What makes us reset: a request that is none, a window out of bounds, a body after its end, a body beyond its window.
    ["reset-flood", resets((stream) => frame(frames.headers, flags.endHeaders, stream, Buffer.of(0x82)))],
    ["reset-flood", resets((stream) => Buffer.concat([request(stream), numberFrame(frames.windowUpdate, stream, 0)]))],
    [
      "reset-flood",
      resets((stream) => Buffer.concat([request(stream), numberFrame(frames.windowUpdate, stream, 2 ** 31 - 1)])),
    ],
    ["reset-flood", resets((stream) => Buffer.concat([request(stream), frame(frames.data, flags.endStream, stream)]))],
    ["reset-flood", resets((stream) => Buffer.concat([request(stream), request(stream)]))],
    // Header blocks of a stream that is over are unpacked all the same.
    [
      "reset-flood",
      Buffer.concat([
        request(1),
        numberFrame(frames.resetStream, 1, errorCodes.cancel),
        repeat(defaultLimits.resets + 1, () => request(1)),
      ]),
    ],
    [
      "window-update-flood",
      Buffer.concat([request(1), repeat(defaultLimits.tinyCredits + 1, () => numberFrame(frames.windowUpdate, 1, 1))]),
    ],
    ["window-update-flood", repeat(defaultLimits.tinyCredits + 1, () => numberFrame(frames.windowUpdate, 0, 255))],
  ];
  for (const [reason, bytes] of cases) {
    const { server, events, sent } = greeted();
    const fault = server.push(Buffer.from(bytes), 0);
    assert.equal(fault?.reason, reason);
    assert.equal(server.fault, fault);
    const written = sent();
    const last = written.at(-1);
    assert.equal(written.filter(({ type }) => type === frames.goaway).length, 1, reason);
    assert.equal(last?.type, frames.goaway, reason);
    assert.equal(last.payload.readUInt32BE(4), fault.code);
    const before = events.length;
    assert.equal(server.push(request(10_001), 0), fault);
    assert.equal(events.length, before, "nothing is taken in after a fault");
    assert.equal(server.output.length, 0);
  }
});

test("a reader that gives credit by kilobytes may do so as often as it likes", () => {
  const { server } = greeted();
  server.push(request(1), 0);
  for (let count = 0; count < 20_000; count++) {
    assert.equal(server.push(numberFrame(frames.windowUpdate, 1, 4096), 0), undefined);
  }
});

test("a rate counts within ten seconds", () => {
  const { server } = greeted();
  const ping = frame(frames.ping, 0, 0, Buffer.alloc(8));
  for (let second = 0; second < 100; second++) {
    for (let count = 0; count < 9; count++) {
      assert.equal(server.push(Buffer.from(ping), second * 1000), undefined);
    }
    server.output.clear();
  }
});

test("streams above the limit are refused, and those open go on", () => {
  const { server, events, sent } = greeted();
  for (let index = 0; index < defaultLimits.streams + 3; index++) {
    assert.equal(server.push(request(index * 2 + 1), 0), undefined);
  }
  assert.equal(server.openStreams, defaultLimits.streams);
  const refused = sent();
  assert.deepEqual(
    refused.map(({ type, payload }) => [type, payload.readUInt32BE(0)]),
    Array.from({ length: 3 }, () => [frames.resetStream, errorCodes.refusedStream]),
  );
  assert.equal(events.filter((event) => event.startsWith("request")).length, defaultLimits.streams);
  server.finish(1, ok, { chunks: [], length: 0 });
  assert.equal(server.openStreams, defaultLimits.streams - 1);
});

test("a request that is no request resets its stream alone", () => {
  const broken: readonly HeaderField[][] = [
    requestFields.filter(([name]) => name !== ":path"),
    requestFields.filter(([name]) => name !== ":method"),
    [...requestFields, [":path", "/twice"]],
    [["a", "b"], ...requestFields],
    [...requestFields, [":status", "200"]],
    [...requestFields, ["Upper", "x"]],
    [...requestFields, ["connection", "close"]],
    [...requestFields, ["x", "a\nb"]],
    [...requestFields, ["long", "y".repeat(defaultLimits.headerList)]],
    // A byte each on the wire, sixty in the list.
    [...requestFields, ...Array.from({ length: 1000 }, (): HeaderField => ["accept-encoding", "gzip, deflate"])],
  ];
  for (const fields of broken) {
    const { server, events, sent } = greeted();
    const block = encodeFields(fields);
    const headers = Buffer.concat([
      frame(frames.headers, flags.endStream, 1, block.subarray(0, 10_000)),
      frame(frames.continuation, 0, 1, block.subarray(10_000, 20_000)),
      frame(frames.continuation, flags.endHeaders, 1, block.subarray(20_000)),
    ]);
    const fault = server.push(headers, 0);
    if (block.length > defaultLimits.headerBlock) {
      assert.equal(fault?.reason, "header-block-too-large");
      continue;
    }
    assert.equal(fault, undefined);
    const [reset] = sent();
    assert.equal(reset?.type, frames.resetStream);
    assert.equal(reset.payload.readUInt32BE(0), errorCodes.protocol);
    assert.deepEqual(events, []);
    assert.equal(server.push(request(3), 0), undefined);
    assert.deepEqual(events, ["request 3 POST /machine/map", "end 3"]);
  }
});

test("a peer's window holds bodies back, to the byte, and tells when it opens", () => {
  const { server, events, sent } = greeted();
  server.push(request(1), 0);
  server.writeHead(1, ok, false);
  const body = { chunks: [Buffer.alloc(50_000, 1), Buffer.alloc(50_000, 2)], length: 100_000 };
  assert.equal(server.sendable(1), defaultWindow);
  assert.equal(server.writeData(1, body, 0, true), defaultWindow);
  assert.equal(server.sendable(1), 0);
  assert.equal(server.writeData(1, body, defaultWindow, true), 0);
  const first = sent().filter(({ type }) => type === frames.data);
  assert.ok(first.every(({ payload }) => payload.length <= 16_384));
  assert.equal(
    first.reduce((sum, { payload }) => sum + payload.length, 0),
    defaultWindow,
  );
  server.push(numberFrame(frames.windowUpdate, 1, 100_000), 0);
  assert.ok(!events.includes("writable 1"), "the connection's window is still closed");
  server.push(numberFrame(frames.windowUpdate, 0, 1000), 0);
  assert.ok(events.includes("writable 1"));
  assert.equal(server.writeData(1, body, defaultWindow, true), 1000);
  server.push(numberFrame(frames.windowUpdate, 0, 1_000_000), 0);
  assert.equal(server.writeData(1, body, defaultWindow + 1000, true), 100_000 - defaultWindow - 1000);
  const rest = sent().filter(({ type }) => type === frames.data);
  assert.ok(Buffer.concat([...first, ...rest].map(({ payload }) => payload)).equals(Buffer.concat(body.chunks)));
  assert.deepEqual(
    rest.map(({ flags: set }) => set),
    [...rest.slice(1).map(() => 0), flags.endStream],
  );
  assert.equal(server.openStreams, 0);
  assert.equal(server.writeData(1, body, 0, true), -1);
});

test("a smaller initial window makes open windows negative, and nothing is sent until they are positive", () => {
  const { server, events } = greeted();
  server.push(request(1), 0);
  server.writeHead(1, ok, false);
  assert.equal(server.writeData(1, { chunks: [Buffer.alloc(1000)], length: 1000 }, 0, false), 1000);
  server.push(settingsFrame([[settings.initialWindowSize, 100]]), 0);
  assert.equal(server.sendable(1), 0);
  const more = { chunks: [Buffer.alloc(10)], length: 10 };
  assert.equal(server.writeData(1, more, 0, false), 0);
  server.push(numberFrame(frames.windowUpdate, 1, 900), 0);
  assert.deepEqual(events.slice(2), []);
  server.push(numberFrame(frames.windowUpdate, 1, 5), 0);
  assert.deepEqual(events.slice(2), ["writable 1"]);
  assert.equal(server.writeData(1, more, 0, false), 5);
});

test("what finish holds back follows by itself", () => {
  const { server, sent } = greeted();
  server.push(request(1), 0);
  const body = Buffer.alloc(200_000, "finish");
  assert.ok(server.finish(1, ok, { chunks: [body], length: body.length }));
  const parts: Buffer[] = [];
  let ended = false;
  for (let round = 0; round < 10; round++) {
    for (const { type, payload, flags: set } of sent()) {
      if (type === frames.data) {
        parts.push(payload);
        ended ||= (set & flags.endStream) !== 0;
      }
    }
    server.push(numberFrame(frames.windowUpdate, 0, 30_000), 0);
    if (server.openStreams > 0) {
      server.push(numberFrame(frames.windowUpdate, 1, 30_000), 0);
    }
  }
  assert.ok(ended);
  assert.ok(Buffer.concat(parts).equals(body));
  assert.equal(server.openStreams, 0);
});

test("a peer gets credit for bodies it sends, padding included, and may not send more than it has", () => {
  const { server, bodies, sent } = greeted();
  server.push(request(1, false), 0);
  const padded = frame(frames.data, flags.padded, 1, Buffer.concat([Buffer.of(100), Buffer.alloc(1000)]));
  let credit = { connection: 0, stream: 0 };
  const count = 200;
  for (let index = 0; index < count; index++) {
    assert.equal(server.push(Buffer.from(padded), 0), undefined);
    for (const { type, stream, payload } of sent()) {
      assert.equal(type, frames.windowUpdate);
      const value = payload.readUInt32BE(0);
      credit =
        stream === 0
          ? { ...credit, connection: credit.connection + value }
          : { ...credit, stream: credit.stream + value };
    }
  }
  assert.equal(bodies.get(1), 900 * count);
  for (const given of [credit.connection, credit.stream]) {
    assert.ok(given <= 1001 * count && given > 1001 * count - defaultWindow, String(given));
  }
});

test("bodies of a stream we have reset are dropped, and still give credit to the connection", () => {
  const { server, bodies, sent } = greeted();
  server.push(request(1, false), 0);
  server.reset(1, errorCodes.cancel);
  const data = frame(frames.data, 0, 1, Buffer.alloc(16_000));
  for (let index = 0; index < 20; index++) {
    assert.equal(server.push(Buffer.from(data), 0), undefined);
  }
  assert.equal(bodies.size, 0);
  const credit = sent().filter(({ type, stream }) => type === frames.windowUpdate && stream === 0);
  const given = credit.reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0);
  assert.ok(given > 20 * 16_000 - defaultWindow && given <= 20 * 16_000, String(given));
});

test("bodies come in slices as they arrive, and trailers end them", () => {
  const { server, events, bodies } = greeted();
  server.push(request(1, false), 0);
  const data = frame(frames.data, 0, 1, Buffer.alloc(1000));
  server.push(data.subarray(0, 500), 0);
  assert.equal(bodies.get(1), 491);
  server.push(data.subarray(500), 0);
  server.push(frame(frames.headers, flags.endHeaders | flags.endStream, 1, encodeFields([["x", "y"]])), 0);
  assert.deepEqual(events, ["request 1 POST /machine/map", "end 1"]);
  assert.equal(bodies.get(1), 1000);
});

test("one message to many connections shares its bytes and its frame header", () => {
  const message = { chunks: [Buffer.alloc(300, 7)], length: 300 };
  const [a, b] = [greeted().server, greeted().server];
  for (const server of [a, b]) {
    server.push(request(1), 0);
    server.writeHead(1, ok, false);
    server.output.clear();
    server.writeData(1, message, 0, false);
  }
  assert.equal(a.output.chunks.length, 2);
  assert.equal(a.output.chunks[0], b.output.chunks[0]);
  assert.equal(a.output.chunks[1], message.chunks[0]);
  assert.equal(b.output.chunks[1], message.chunks[0]);
});

test("a handler may answer, reset or give up from within an event", () => {
  for (const act of [
    (server: H2Server): void => void server.finish(1, ok, { chunks: [Buffer.from("x")], length: 1 }),
    (server: H2Server): void => server.reset(1, errorCodes.cancel),
    (server: H2Server): void => server.goaway(errorCodes.noError),
  ]) {
    const server: H2Server = new H2Server({
      request: () => act(server),
      data: () => act(server),
      end: () => act(server),
      reset: () => {},
      writable: () => {},
    });
    server.push(Buffer.from(hello), 0);
    const bytes = [request(1, false), frame(frames.data, flags.endStream, 1, Buffer.alloc(10)), request(3)];
    assert.equal(server.push(Buffer.concat(bytes), 0), undefined);
  }
});

/** Frames that make sense one by one, in any order and with any flags. */
const anyFrame = fc
  .record({
    type: fc.oneof(fc.constantFrom(...Object.values(frames)), fc.nat(255)),
    frameFlags: fc.oneof(fc.constantFrom(0, 1, 4, 5), fc.nat(255)),
    stream: fc.oneof(fc.constantFrom(0, 1, 3, 5), fc.nat(20)),
    payload: fc.oneof(
      fc.constantFrom(requestBlock, Buffer.alloc(0), Buffer.alloc(4, 1), Buffer.alloc(8), Buffer.alloc(2000)),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
    ),
  })
  .map(({ type, frameFlags, stream, payload }) => frame(type, frameFlags, stream, payload));

test("random frames, cut anywhere and changed anywhere, end in a fault or not, but never crash or grow", () => {
  fc.assert(
    fc.property(
      fc.array(anyFrame, { maxLength: 40 }),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
      fc.integer({ min: 1, max: 400 }),
      (list, changes, step) => {
        const bytes = Buffer.concat([hello, ...list]);
        for (const [at, value] of changes) {
          bytes[at % bytes.length] = value;
        }
        const { server, bodies } = bench();
        server.output.clear();
        for (let at = 0; at < bytes.length; at += step) {
          server.push(Buffer.from(bytes.subarray(at, at + step)), 0);
          assert.ok(server.openStreams <= defaultLimits.streams);
        }
        assert.ok(server.output.length <= bytes.length * 3 + 100, "answers are in proportion");
        assert.ok([...bodies.values()].reduce((sum, length) => sum + length, 0) <= bytes.length);
      },
    ),
    { numRuns: 400 },
  );
});

test("settings acknowledged early or twice do no harm", () => {
  const { server } = greeted();
  assert.equal(server.push(Buffer.concat([settingsAck, settingsAck, request(1)]), 0), undefined);
});
