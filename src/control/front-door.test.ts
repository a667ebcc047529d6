// What comes through the front door must be what the HTTP server would have made of the same bytes.
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import * as fc from "fast-check";
import { until as eventually } from "../../test/patience.ts";
import { generatePrivateKey } from "../wire/keys.ts";
import { startHandshake } from "../wire/noise.ts";
import { systemClock } from "../identity/clock.ts";
import { createControlCounters } from "./counters.ts";
import { handshakeOf, type Knock } from "./front-door.ts";
import { createListener } from "./listener.ts";
import { silentLog } from "./log.ts";
import { createTs2021 } from "./ts2021.ts";

const noiseKey = generatePrivateKey();
const machine = generatePrivateKey();
const started = startHandshake({ version: 142, machineKey: machine, serverPublic: noiseKey.publicRaw });
assert.ok(started.ok);
const initiation = Buffer.from(started.initiation).toString("base64");

/** As Go's HTTP client writes it. */
const goRequest = [
  "POST /ts2021 HTTP/1.1",
  "Host: control.example:8080",
  "User-Agent: Go-http-client/1.1",
  "Content-Length: 0",
  "Connection: upgrade",
  "Upgrade: tailscale-control-protocol",
  `X-Tailscale-Handshake: ${initiation}`,
  "Accept-Encoding: gzip",
  "",
  "",
].join("\r\n");

interface World {
  readonly port: number;
  /** Connections that went through the door. */
  knocks: number;
  /** Whose handshakes succeeded. */
  readonly accepted: string[];
  open: number;
  readonly close: () => void;
}

async function world(context: TestContext, door: boolean): Promise<World> {
  const accepted: string[] = [];
  const ts2021 = createTs2021({
    noiseKey,
    edge: {
      accept({ transport, machineKey, source, ticket }) {
        accepted.push(`${machineKey} from ${source}`);
        ticket.served();
        transport.start({ data: (bytes) => transport.write(bytes), drain() {}, closed() {} });
        transport.write(Buffer.from("welcome"));
        transport.end();
      },
    },
    clock: systemClock,
    log: silentLog,
    counters: createControlCounters(),
    trustedProxies: [],
  });
  const knock: Knock = (socket, handshake) => {
    seen.knocks++;
    ts2021.knock(socket, handshake);
  };
  const listener = createListener({
    handlers: [],
    upgrades: new Map([["/ts2021", (...upgrade) => ts2021.upgrade(...upgrade)]]),
    ...(door ? { knock } : {}),
    log: silentLog,
  });
  const { port } = await listener.listen("127.0.0.1", 0);
  context.after(() => listener.close());
  const seen: World = { port, knocks: 0, open: 0, accepted, close: () => listener.close() };
  listener.server.on("connection", (socket: Socket) => {
    seen.open++;
    socket.once("close", () => seen.open--);
  });
  return seen;
}

/** Far more than any answer takes: one that ends earlier has given up waiting. */
const silenceMs = 3000;

/** Everything that is answered to the pieces, each sent by itself. */
function answerTo({ port }: World, pieces: readonly string[]): Promise<string> {
  return new Promise((done, fail) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    let answer = "";
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => (answer += text));
    // Who is refused while it still sends may be reset.
    socket.on("error", () => {});
    socket.on("close", () => done(answer));
    socket.setTimeout(20_000, () => fail(new Error(`no end of: ${answer}`)));
    const sendNext = ([piece, ...rest]: readonly string[]): void => {
      if (piece === undefined) {
        // Nearly all heads have an answer; what has none ends with the client's end.
        setTimeout(() => socket.end(), silenceMs).unref();
      } else if (socket.writable) {
        socket.write(piece, "latin1", () => setTimeout(() => sendNext(rest), rest.length > 0 ? 2 : 0));
      }
    };
    socket.on("connect", () => sendNext(pieces));
  });
}

test("a client's upgrade comes through the door and is shaken hands with", async (context) => {
  const server = await world(context, true);
  const socket = connect(server.port, "127.0.0.1");
  socket.write(goRequest);
  await eventually("the handshake", () => server.accepted.length === 1);
  socket.destroy();
  assert.equal(server.knocks, 1);
  assert.match(server.accepted[0] ?? "", /^mkey:[0-9a-f]{64} from 127\.0\.0\.1$/);
});

test("cut in two at any byte, an upgrade has the same outcome, by way of the HTTP server", async (context) => {
  const server = await world(context, true);
  const cuts = Array.from({ length: goRequest.length - 1 }, (_, index) => index + 1);
  for (let at = 0; at < cuts.length; at += 32) {
    await Promise.all(
      cuts.slice(at, at + 32).map(
        (cut) =>
          new Promise<void>((done, fail) => {
            const socket = connect({ port: server.port, host: "127.0.0.1", noDelay: true });
            socket.on("error", fail);
            socket.on("data", (bytes) => {
              assert.match(bytes.toString("latin1"), /^welcome$/);
              socket.destroy();
              done();
            });
            socket.write(goRequest.slice(0, cut));
            setTimeout(() => socket.write(goRequest.slice(cut)), 5);
          }),
      ),
    );
  }
  assert.equal(server.accepted.length, cuts.length);
  assert.ok(server.knocks < cuts.length, "some came in pieces");
});

const value = fc.constantFrom(
  "upgrade",
  "Upgrade",
  "keep-alive, Upgrade",
  "close",
  "tailscale-control-protocol",
  "Tailscale-Control-Protocol",
  "websocket",
  "0",
  "00",
  "7",
  "control.example",
  "two  words",
  "umlaut \u00e4",
  "tab\there",
  "bell\u0007",
  "",
  initiation,
  initiation.slice(0, -1),
  Buffer.alloc(101).toString("base64"),
  "AAA=",
  "chunked",
);
const name = fc.constantFrom(
  "Host",
  "host",
  "Connection",
  "Upgrade",
  "X-Tailscale-Handshake",
  "x-tailscale-handshake",
  "Content-Length",
  "Transfer-Encoding",
  "User-Agent",
  "X-Forwarded-For",
  "Expect",
  "Odd Name",
  "Accept-Encoding",
);
const separator = fc.constantFrom(": ", ": ", ": ", ":", ":  ", " : ");
const oddLine = fc.tuple(name, separator, value).map((parts) => parts.join(""));
const usualLines = goRequest.split("\r\n").slice(1, -2);
const mostly = <Value>(usual: Value, ...odd: readonly Value[]): fc.Arbitrary<Value> =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...odd) });
/** The usual request with a line or two too many, too few or in other places, and an odd first or last line. */
const request = fc
  .record({
    first: mostly(
      "POST /ts2021 HTTP/1.1",
      "POST /ts2021 HTTP/1.0",
      "POST /ts2021?a=b HTTP/1.1",
      "POST //ts2021 HTTP/1.1",
      "GET /ts2021 HTTP/1.1",
      "post /ts2021 HTTP/1.1",
      "POST /derp HTTP/1.1",
    ),
    usual: fc.shuffledSubarray(usualLines, { minLength: usualLines.length - 2 }),
    odd: fc.oneof(fc.constant([]), fc.array(oddLine, { maxLength: 2 })),
    oddFirst: fc.boolean(),
    newline: mostly("\r\n", "\n"),
    end: mostly("\r\n\r\n", "\r\n \r\n\r\n", "\r\n\r\nGET / HTTP/1.1\r\n\r\n", "\n\n"),
  })
  .map(({ first, usual, odd, oddFirst, newline, end }) =>
    [first, ...(oddFirst ? [...odd, ...usual] : [...usual, ...odd])].join(newline).concat(end),
  );

const dateless = (answer: string): string => answer.replaceAll(/^Date: .*$/gm, "Date");

test("whatever an upgrade request looks like, door and HTTP server give the same answer", async (context) => {
  const doored = await world(context, true);
  const plain = await world(context, false);
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 200, maxLength: 200 }), async (texts) => {
      const answers = (server: World): Promise<readonly string[]> =>
        Promise.all(texts.map(async (text) => `${text} => ${dateless(await answerTo(server, [text]))}`));
      const [answer, expected] = await Promise.all([answers(doored), answers(plain)]);
      assert.deepEqual(answer, expected);
      assert.deepEqual(doored.accepted, plain.accepted);
    }),
    { numRuns: 2, endOnFailure: true },
  );
  assert.ok(doored.knocks > 10 && doored.knocks < 390, `${doored.knocks} came through the door`);
});

test("the door takes no request that is longer, unfinished or followed by something", () => {
  const handshake = (text: string): string | undefined => handshakeOf(Buffer.from(text, "latin1"));
  assert.equal(handshake(goRequest), initiation);
  assert.equal(handshake(`${goRequest}x`), undefined);
  assert.equal(handshake(goRequest.slice(0, -2)), undefined);
  assert.equal(handshake(goRequest.replace("gzip", "g".repeat(1024))), undefined);
  assert.equal(handshake(goRequest.replace("Host", "X-Forwarded-For: 1.2.3.4\r\nHost")), undefined);
  assert.equal(handshake(goRequest.replace(initiation, "")), undefined);
});

async function silentOnes(server: World, count: number): Promise<readonly Socket[]> {
  const sockets = Array.from({ length: count }, () => connect(server.port, "127.0.0.1"));
  for (const socket of sockets) {
    socket.on("error", () => {});
    socket.resume();
  }
  await eventually("all are there", () => server.open === count);
  return sockets;
}

test("whoever says nothing at first is answered when it speaks", async (context) => {
  const server = await world(context, true);
  const [socket] = await silentOnes(server, 1);
  assert.ok(socket !== undefined);
  let answer = "";
  socket.on("data", (bytes) => (answer += bytes.toString("latin1")));
  // By then it is the HTTP server's.
  await new Promise((done) => setTimeout(done, 300));
  socket.write(goRequest);
  await eventually("an answer", () => answer === "welcome");
  assert.equal(server.knocks, 0);
});

test("connections that end, break off or outlive the listener plain a word are gone", async (context) => {
  const server = await world(context, true);
  for (const leave of [
    (socket: Socket) => void socket.end(),
    (socket: Socket) => void socket.resetAndDestroy(),
    (socket: Socket) => void socket.destroy(),
  ]) {
    const sockets = await silentOnes(server, 20);
    sockets.forEach(leave);
    await eventually("the server has closed them", () => server.open === 0);
  }
  const sockets = await silentOnes(server, 20);
  server.close();
  await eventually("the clients see the end", () => sockets.every(({ closed }) => closed));
});
