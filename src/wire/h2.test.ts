import assert from "node:assert/strict";
import {
  connect,
  createServer,
  performServerHandshake,
  type ClientHttp2Session,
  type ClientHttp2Stream,
} from "node:http2";
import { Duplex } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import * as fc from "fast-check";
import { H2Client, type ResponseHead } from "./h2-client.ts";
import { errorCodes } from "./h2-frames.ts";
import { H2Server, responseHead, type RequestHead } from "./h2-server.ts";

/** Two ends of a pipe in memory. */
function pipe(): readonly [Duplex, Duplex] {
  const ends: Duplex[] = [];
  const end = (other: number): Duplex =>
    new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        ends[other]?.push(Buffer.from(chunk));
        setImmediate(done);
      },
      final(done) {
        ends[other]?.push(null);
        done();
      },
    });
  ends.push(end(1), end(0));
  const [a, b] = ends;
  assert.ok(a && b);
  return [a, b];
}

/** Writes what a connection wants to write. */
function flush(connection: H2Client | H2Server, to: Duplex): void {
  if (connection.output.length > 0) {
    to.write(Buffer.concat(connection.output.chunks));
    connection.output.clear();
  }
}

/** A server of ours on one end of a pipe, answering with the method, the body's length and the body. */
function echoServer(end: Duplex): H2Server {
  const bodies = new Map<number, Buffer[]>();
  const heads = new Map<number, RequestHead>();
  const unsent = new Map<number, { body: Buffer; from: number }>();
  const okHead = responseHead(200, [["content-type", "application/octet-stream"]]);

  function write(stream: number): void {
    const rest = unsent.get(stream);
    if (rest !== undefined) {
      const taken = server.writeData(stream, { chunks: halves(rest.body), length: rest.body.length }, rest.from, true);
      rest.from += Math.max(0, taken);
      if (taken < 0 || rest.from === rest.body.length) {
        unsent.delete(stream);
      }
    }
  }
  const server = new H2Server({
    request(stream, head) {
      heads.set(stream, head);
      bodies.set(stream, []);
    },
    data(stream, slice) {
      bodies.get(stream)?.push(Buffer.from(slice));
    },
    end(stream) {
      const body = Buffer.concat(bodies.get(stream) ?? []);
      const head = heads.get(stream);
      if (head?.path === "/reset") {
        server.reset(stream, errorCodes.internal);
        return;
      }
      const answer = Buffer.concat([Buffer.from(`${head?.method} ${body.length} `), body]);
      if (head?.path === "/finish") {
        server.finish(stream, okHead, { chunks: halves(answer), length: answer.length });
        return;
      }
      server.writeHead(stream, okHead, false);
      unsent.set(stream, { body: answer, from: 0 });
      write(stream);
    },
    reset(stream) {
      unsent.delete(stream);
    },
    writable: write,
  });
  end.on("data", (chunk: Buffer) => {
    server.push(chunk, 0);
    flush(server, end);
  });
  flush(server, end);
  return server;
}

function halves(bytes: Buffer): Buffer[] {
  const middle = bytes.length >> 1;
  return [bytes.subarray(0, middle), bytes.subarray(middle)];
}

interface Answer {
  readonly status: number | undefined;
  readonly body: Buffer;
  readonly resetCode: number | undefined;
}

function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  return new Promise((done) => {
    let status: number | undefined;
    const parts: Buffer[] = [];
    stream.on("response", (headers) => (status = headers[":status"]));
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("error", () => {});
    stream.on("close", () => done({ status, body: Buffer.concat(parts), resetCode: stream.rstCode }));
  });
}

function nativeClient(end: Duplex): ClientHttp2Session {
  return connect("https://unused", { createConnection: () => end });
}

const exchange = fc.record({
  method: fc.constantFrom("GET", "POST", "PATCH"),
  path: fc.constantFrom("/machine/map", "/finish", "/reset", "/machine/tka/sync/offer?x=1"),
  size: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 300_000 })),
  header: fc.string({ unit: fc.integer({ min: 32, max: 126 }).map((code) => String.fromCharCode(code)) }),
});

function bodyOf(size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, (_, index) => (index * 7 + size) & 0xff));
}

test("a native client and our server exchange any mix of requests", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(exchange, { minLength: 1, maxLength: 8 }), async (exchanges) => {
      const [near, far] = pipe();
      const server = echoServer(far);
      const client = nativeClient(near);
      const answers = await Promise.all(
        exchanges.map(async ({ method, path, size, header }) => {
          const stream = client.request({ ":method": method, ":path": path, "x-note": header }, { endStream: false });
          const answer = answerOf(stream);
          stream.end(bodyOf(size));
          return answer;
        }),
      );
      answers.forEach((answer, index) => {
        const { method, path, size } = exchanges[index] ?? { method: "", path: "", size: 0 };
        if (path === "/reset") {
          assert.equal(answer.resetCode, errorCodes.internal);
          return;
        }
        assert.equal(answer.resetCode, errorCodes.noError);
        assert.equal(answer.status, 200);
        const expected = Buffer.concat([Buffer.from(`${method} ${size} `), bodyOf(size)]);
        assert.ok(answer.body.equals(expected), `${method} ${path} ${size}: got ${answer.body.length}`);
      });
      assert.equal(server.fault, undefined);
      assert.equal(server.openStreams, 0);
      client.destroy();
    }),
    { numRuns: 25 },
  );
});

interface OurAnswer {
  head: ResponseHead | undefined;
  body: Buffer[];
  resetCode: number | undefined;
  isDone: boolean;
}

/** A client of ours on one end of a pipe. */
function ourClient(end: Duplex): { readonly client: H2Client; readonly answers: Map<number, OurAnswer> } {
  const answers = new Map<number, OurAnswer>();
  const of = (stream: number): OurAnswer => {
    const answer = answers.get(stream) ?? { head: undefined, body: [], resetCode: undefined, isDone: false };
    answers.set(stream, answer);
    return answer;
  };
  const client = new H2Client({
    response(stream, head) {
      of(stream).head = head;
    },
    data(stream, slice) {
      of(stream).body.push(Buffer.from(slice));
    },
    end(stream) {
      of(stream).isDone = true;
    },
    reset(stream, code) {
      of(stream).resetCode = code;
      of(stream).isDone = true;
    },
    writable() {},
    goaway() {},
  });
  end.on("data", (chunk: Buffer) => {
    client.push(chunk, 0);
    flush(client, end);
  });
  flush(client, end);
  return { client, answers };
}

test("our client and a native server exchange any mix of requests", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(exchange, { minLength: 1, maxLength: 8 }), async (exchanges) => {
      const [near, far] = pipe();
      const server = createServer();
      const session = performServerHandshake(far);
      session.on("stream", (stream, headers) => {
        const parts: Buffer[] = [];
        stream.on("error", () => {});
        stream.on("data", (part: Buffer) => parts.push(part));
        stream.on("end", () => {
          if (headers[":path"] === "/reset") {
            stream.close(errorCodes.internal);
            return;
          }
          stream.respond({ ":status": 200, "x-note": headers["x-note"] ?? "" });
          stream.end(Buffer.concat([Buffer.from(`${headers[":method"]} `), ...parts]));
        });
      });
      const { client, answers } = ourClient(near);
      const streams = exchanges.map(({ method, path, size, header }) =>
        client.request({
          method,
          path,
          authority: "unused",
          headers: [["x-note", header.trim()]],
          body: bodyOf(size),
        }),
      );
      flush(client, near);
      while (!streams.every((stream) => answers.get(stream)?.isDone)) {
        assert.equal(client.fault, undefined);
        await turn();
      }
      streams.forEach((stream, index) => {
        const { method, path, size, header } = exchanges[index] ?? { method: "", path: "", size: 0, header: "" };
        const answer = answers.get(stream);
        if (path === "/reset") {
          assert.equal(answer?.resetCode, errorCodes.internal);
          return;
        }
        assert.equal(answer?.resetCode, undefined);
        assert.equal(answer?.head?.status, 200);
        assert.equal(answer.head.headers.find(([name]) => name === "x-note")?.[1] ?? "", header.trim());
        assert.ok(Buffer.concat(answer.body).equals(Buffer.concat([Buffer.from(`${method} `), bodyOf(size)])));
      });
      assert.equal(client.fault, undefined);
      session.destroy();
      server.close();
    }),
    { numRuns: 25 },
  );
});

test("a frame by itself is let out only when nothing else waits and all of it fits windows and frame size", () => {
  const events = { request() {}, data() {}, end() {}, reset() {}, writable: (stream: number) => room.push(stream) };
  const room: number[] = [];
  const server = new H2Server(events);
  const told: number[] = [];
  const client = new H2Client({
    response() {},
    data: (_stream, slice) => told.push(slice.length),
    end() {},
    reset() {},
    writable() {},
    goaway() {},
  });
  const stream = client.request({ method: "POST", authority: "a", path: "/" });
  server.push(Buffer.concat(client.output.chunks), 0);
  client.output.clear();
  const open = server.openStreamOf(stream);
  assert.ok(open !== undefined);
  server.writeHead(stream, responseHead(200), false);
  assert.equal(server.frameAround(open, 10), undefined, "the head is to be written first");
  const take = (): void => {
    const bytes = Buffer.concat(server.output.chunks);
    server.output.clear();
    assert.equal(client.push(bytes, 0), undefined);
  };
  take();
  assert.equal(server.frameAround(open, 16_385), undefined, "larger than a frame");
  // The connection's first window is 65,535 bytes until the client's credit comes, which is not delivered here.
  const before = server.sendable(stream);
  for (let left = before; left >= 16_384; left -= 16_384) {
    const head = server.frameAround(open, 16_384);
    assert.ok(head !== undefined);
    assert.equal(client.push(Buffer.concat([head, Buffer.alloc(16_384)]), 0), undefined);
  }
  const rest = server.sendable(stream);
  assert.equal(rest, before % 16_384);
  assert.equal(server.frameAround(open, rest + 1), undefined);
  assert.equal(server.sendable(stream), rest, "what is refused takes nothing from the windows");
  // The usual way takes what there is room for and asks to be told of more.
  assert.equal(server.writeData(stream, { chunks: [Buffer.alloc(rest + 1)], length: rest + 1 }, 0, false), rest);
  take();
  assert.equal(server.frameAround(open, 1), undefined);
  server.push(Buffer.concat(client.output.chunks), 0);
  client.output.clear();
  assert.deepEqual(room, [stream]);
  server.output.clear();
  assert.ok(server.frameAround(open, 1) !== undefined);
  assert.equal(
    told.reduce((sum, length) => sum + length, 0),
    before,
  );
  server.finishBody(stream, { chunks: [], length: 0 });
  server.output.clear();
  assert.equal(server.frameAround(open, 1), undefined, "the stream has ended");
});
