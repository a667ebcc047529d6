// A control server that does what a test tells it, to try the simulated client against: the real handshake, records
// and HTTP/2, and no behaviour of its own.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { TestContext } from "node:test";
import { H2Server, responseHead, type RequestHead } from "../src/wire/h2-server.ts";
import { generatePrivateKey, machineKeyText } from "../src/wire/keys.ts";
import { acceptHandshake } from "../src/wire/noise.ts";
import { RecordReader, RecordWriter } from "../src/wire/record.ts";
import { rawFrame } from "../src/wire/zstd.ts";

export interface ScriptedRequest {
  readonly head: RequestHead;
  readonly body: Buffer;
  readonly machineKey: string;
  reply(status: number, body: unknown): void;
  /** Begins a map stream. */
  stream(): ScriptedStream;
}

export interface ScriptedStream {
  send(message: unknown): void;
  end(): void;
}

export interface ScriptedControl {
  readonly url: URL;
  readonly serverPublic: Uint8Array;
  readonly requests: ScriptedRequest[];
  onRequest: (request: ScriptedRequest) => void;
  earlyPayload: Buffer | undefined;
  /** Ends all connections. */
  drop(): void;
}

export async function scriptedControl(context: TestContext): Promise<ScriptedControl> {
  const serverKey = generatePrivateKey();
  const sockets = new Set<Duplex>();
  const http = createServer((request, response) => {
    response.end(
      request.url?.startsWith("/key?v=")
        ? JSON.stringify({
            legacyPublicKey: machineKeyText(new Uint8Array(32)),
            publicKey: machineKeyText(serverKey.publicRaw),
          })
        : "no",
    );
  });
  http.on("upgrade", (request, socket) => {
    const header = request.headers["x-tailscale-handshake"];
    const accepted = acceptHandshake(Buffer.from(typeof header === "string" ? header : "", "base64"), serverKey);
    if (!accepted.ok) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    socket.write(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n\r\n",
    );
    socket.write(accepted.response);
    serve(control, socket, accepted.machineKey, {
      reader: new RecordReader(accepted.receiveKey),
      writer: new RecordWriter(accepted.sendKey),
    });
  });
  await new Promise<void>((done) => http.listen(0, "127.0.0.1", done));
  const control: ScriptedControl = {
    url: new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}`),
    serverPublic: serverKey.publicRaw,
    requests: [],
    onRequest: (request) => request.reply(404, "not scripted"),
    earlyPayload: undefined,
    drop: () => sockets.forEach((socket) => socket.destroy()),
  };
  context.after(() => {
    control.drop();
    http.close();
  });
  return control;
}

interface Records {
  readonly reader: RecordReader;
  readonly writer: RecordWriter;
}

function serve(control: ScriptedControl, socket: Duplex, machineKey: string, { reader, writer }: Records): void {
  const open = new Map<number, { readonly head: RequestHead; readonly parts: Buffer[] }>();
  const flush = (): void => {
    if (h2.output.length > 0) {
      socket.write(writer.seal(h2.output.chunks, h2.output.length) ?? Buffer.alloc(0));
      h2.output.clear();
    }
  };
  const h2 = new H2Server({
    request: (stream, head) => void open.set(stream, { head, parts: [] }),
    data: (stream, slice) => void open.get(stream)?.parts.push(Buffer.from(slice)),
    end: (stream) => {
      const { head, parts } = open.get(stream) ?? {
        head: { method: "", path: "", authority: "", headers: [] },
        parts: [],
      };
      const request: ScriptedRequest = {
        head,
        body: Buffer.concat(parts),
        machineKey,
        reply(status, body) {
          const bytes = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
          h2.finish(stream, responseHead(status), { chunks: [bytes], length: bytes.length });
          flush();
        },
        stream() {
          h2.writeHead(stream, responseHead(200), false);
          flush();
          return {
            send(message) {
              const frame = rawFrame(Buffer.from(JSON.stringify(message)));
              const prefix = Buffer.alloc(4);
              prefix.writeUInt32LE(frame.length);
              h2.writeData(stream, { chunks: [prefix, frame], length: 4 + frame.length }, 0, false);
              flush();
            },
            end() {
              h2.writeData(stream, { chunks: [], length: 0 }, 0, true);
              flush();
            },
          };
        },
      };
      control.requests.push(request);
      control.onRequest(request);
    },
    reset: (stream) => void open.delete(stream),
    writable: () => {},
  });
  if (control.earlyPayload !== undefined) {
    socket.write(writer.seal([control.earlyPayload], control.earlyPayload.length) ?? Buffer.alloc(0));
  }
  flush();
  socket.on("data", (bytes: Buffer) => {
    reader.push(bytes, (plaintext) => h2.push(plaintext, 0));
    flush();
  });
}
