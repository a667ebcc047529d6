import assert from "node:assert/strict";
import { test } from "node:test";
import { decompress } from "../wire/zstd.ts";
import { newCounters } from "./counters.ts";
import { frameMessage, Messages, type Part, SharedMessage } from "./message.ts";

const utf8 = new TextDecoder();

function textOf(parts: readonly Part[]): string {
  const message = frameMessage(parts, "zstd");
  const bytes = Buffer.concat(message.chunks);
  assert.equal(bytes.length, message.length);
  assert.equal(bytes.readUInt32LE(0), bytes.length - 4);
  return utf8.decode(decompress(bytes.subarray(4), 1 << 24));
}

test("parts that are shared and parts that are not decode to one text", () => {
  const messages = new Messages(newCounters());
  const long = JSON.stringify("peer ".repeat(1000));
  const parts = [messages.single('{"Peers":['), messages.shared(long), messages.shared(",7"), messages.single("]}")];
  assert.equal(textOf(parts), `{"Peers":[${long},7]}`);
});

test("a session that asks for no compression gets the same text as it is", () => {
  const messages = new Messages(newCounters());
  const message = frameMessage([messages.shared("[1,"), messages.single('"é"]')], "");
  assert.equal(utf8.decode(Buffer.concat(message.chunks).subarray(4)), '[1,"é"]');
  assert.equal(message.length, 4 + 8);
});

test("a shared part is compressed once however many messages have it", () => {
  const counters = newCounters();
  const messages = new Messages(counters);
  const shared = messages.shared("x".repeat(500));
  for (let turn = 0; turn < 10; turn++) {
    frameMessage([messages.single("1"), shared], "zstd");
  }
  assert.equal(counters.compressions, 1);
});

test("what is short is not compressed, and what one session alone gets only when it is long", () => {
  const counters = newCounters();
  const messages = new Messages(counters);
  frameMessage([messages.shared("x".repeat(120)), messages.single("x".repeat(2048))], "zstd");
  assert.equal(counters.compressions, 0);
  frameMessage([messages.shared("x".repeat(121)), messages.single("x".repeat(2049))], "zstd");
  assert.equal(counters.compressions, 2);
});

test("a message for many is framed once for each compression", () => {
  const messages = new Messages(newCounters());
  const message = new SharedMessage([messages.shared("{}")]);
  assert.equal(message.framed("zstd"), message.framed("zstd"));
  assert.notEqual(message.framed("zstd"), message.framed(""));
  assert.equal(message.framed("zstd").chunks.length, 1);
});

test("what was made of one text stays as it is when the next is made", () => {
  const messages = new Messages(newCounters());
  const texts = [100, 300, 5000, 60_000, 90_000].map((length, index) => String(index).repeat(length));
  const frames = texts.flatMap((text) => [messages.shared(text).bytes("zstd"), messages.single(text).bytes("zstd")]);
  const said = frames.map((frame) => decompress(frame, 1 << 20)?.toString());
  assert.deepEqual(
    said,
    texts.flatMap((text) => [text, text]),
  );
});

test("a text that is compressed leaves no copy of itself for the collector", () => {
  const messages = new Messages(newCounters());
  const text = "a peer among others, ".repeat(2500);
  messages.shared(text).bytes("zstd");
  const before = process.memoryUsage().arrayBuffers;
  for (let made = 0; made < 60; made++) {
    messages.shared(text).bytes("zstd");
  }
  const each = (process.memoryUsage().arrayBuffers - before) / 60;
  assert.ok(each < text.length / 2, `${each} bytes each`);
});

test("a part that is kept holds no more memory than its bytes", () => {
  const messages = new Messages(newCounters());
  for (const length of [20, 119, 121, 5000]) {
    const bytes = messages.shared("x".repeat(length)).bytes("zstd");
    assert.equal(bytes.buffer.byteLength, bytes.length, `of ${length} characters`);
  }
});
