// A small client of /ts2021 for tests: the upgrade, Noise, HTTP/2 requests, map streams. Real sockets, nothing retried.
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import type { Duplex } from "node:stream";
import { H2Client, type ResponseHead } from "../wire/h2-client.ts";
import { errorCodes } from "../wire/h2-frames.ts";
import { generatePrivateKey, machineKeyText, type PrivateKey } from "../wire/keys.ts";
import type { MachineKey } from "../wire/ids.ts";
import { responseLength, startHandshake } from "../wire/noise.ts";
import { RecordReader, RecordWriter } from "../wire/record.ts";
import { decompress } from "../wire/zstd.ts";

export interface Answer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

export interface MapStream {
  readonly status: number;
  /** The next message, decoded; undefined when the stream has ended. */
  next(): Promise<unknown>;
  cancel(): void;
}

export interface NoiseClient {
  readonly machineKey: MachineKey;
  request(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Answer>;
  map(request: Readonly<Record<string, unknown>>): Promise<MapStream>;
  /** Called for each PingRequest seen on a map stream. */
  onPing: ((ping: { URL: string; Types?: string; Payload?: string }) => void) | undefined;
  readonly socket: Duplex;
  readonly closed: Promise<void>;
  close(): void;
}

export interface ConnectOptions {
  readonly port: number;
  readonly serverKey: Uint8Array;
  readonly machine?: PrivateKey;
  readonly version?: number;
}

/** The socket after a successful upgrade, with what came behind the answer's head. */
export function upgrade(
  port: number,
  headers: Readonly<Record<string, string>>,
): Promise<{ socket: Duplex; head: Buffer; status: number }> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({ host: "127.0.0.1", port, path: "/ts2021", method: "POST", headers });
    outgoing.on("upgrade", (response, socket, head) => resolve({ socket, head, status: response.statusCode ?? 0 }));
    outgoing.on("response", (response) => {
      response.resume();
      reject(new Error(`upgrade refused with ${response.statusCode}`));
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}

export async function connectNoise(options: ConnectOptions): Promise<NoiseClient> {
  const machine = options.machine ?? generatePrivateKey();
  const started = startHandshake({
    version: options.version ?? 142,
    machineKey: machine,
    serverPublic: options.serverKey,
  });
  assert.ok(started.ok);
  const { socket, head } = await upgrade(options.port, {
    upgrade: "tailscale-control-protocol",
    connection: "upgrade",
    "x-tailscale-handshake": Buffer.from(started.initiation).toString("base64"),
  });
  let first = head;
  while (first.length < responseLength) {
    first = Buffer.concat([
      first,
      await new Promise<Buffer>((resolve, reject) => {
        socket.once("data", resolve);
        socket.once("close", () => reject(new Error("closed during the handshake")));
      }),
    ]);
  }
  const finished = started.finish(first.subarray(0, responseLength));
  assert.ok(finished.ok, "the server's answer opens");
  return speak(socket, first.subarray(responseLength), finished, machineKeyText(machine.publicRaw));
}

interface Exchange {
  head(head: ResponseHead): void;
  data(slice: Uint8Array): void;
  end(error?: Error): void;
}

function speak(
  socket: Duplex,
  rest: Buffer,
  keys: { readonly sendKey: Uint8Array; readonly receiveKey: Uint8Array },
  machineKey: MachineKey,
): NoiseClient {
  const reader = new RecordReader(keys.receiveKey);
  const writer = new RecordWriter(keys.sendKey);
  const exchanges = new Map<number, Exchange>();
  const finish = (stream: number, error?: Error): void => {
    const exchange = exchanges.get(stream);
    exchanges.delete(stream);
    exchange?.end(error);
  };
  const h2 = new H2Client({
    response: (stream, head) => exchanges.get(stream)?.head(head),
    data: (stream, slice) => exchanges.get(stream)?.data(slice),
    end: (stream) => finish(stream),
    reset: (stream, code) => finish(stream, new Error(`stream reset with ${code}`)),
    writable() {},
    goaway() {},
  });
  const flush = (): void => {
    const sealed = writer.seal(h2.output.chunks, h2.output.length);
    h2.output.clear();
    if (sealed !== undefined && sealed.length > 0 && socket.writable) {
      socket.write(sealed);
    }
  };
  const take = (bytes: Uint8Array): void => {
    const fault = reader.push(bytes, (plaintext) => h2.push(plaintext, performance.now()));
    assert.equal(fault, undefined);
    flush();
  };
  const closed = new Promise<void>((resolve) => {
    socket.on("close", () => {
      for (const stream of exchanges.keys()) {
        finish(stream, new Error("connection closed"));
      }
      resolve();
    });
  });
  socket.on("error", () => socket.destroy());
  socket.on("data", take);
  if (rest.length > 0) {
    take(rest);
  }
  flush();

  function send(method: string, path: string, body: unknown, exchange: Exchange): number {
    const stream = h2.request({
      method,
      path,
      authority: "unused",
      ...(body === undefined ? {} : { body: bytesOf(body) }),
    });
    exchanges.set(stream, exchange);
    flush();
    return stream;
  }

  const client: NoiseClient = {
    machineKey,
    onPing: undefined,
    socket,
    closed,
    close: () => socket.destroy(),
    request(method, path, body, signal) {
      return new Promise((resolve, reject) => {
        let answer: ResponseHead | undefined;
        const parts: Uint8Array[] = [];
        const stream = send(method, path, body, {
          head(head) {
            answer = head;
          },
          data: (slice) => parts.push(Uint8Array.from(slice)),
          end(error) {
            // A reset without an error code after a whole answer only says that the rest is not wanted.
            if (answer === undefined) {
              reject(error ?? new Error("no answer"));
            } else {
              resolve({ status: answer.status, headers: new Map(answer.headers), body: Buffer.concat(parts) });
            }
          },
        });
        signal?.addEventListener("abort", () => {
          h2.reset(stream, errorCodes.cancel);
          flush();
          finish(stream, new Error("aborted"));
        });
      });
    },
    map(request) {
      return new Promise((resolve, reject) => {
        let parts: Uint8Array[] = [];
        let length = 0;
        let wanted = 4;
        const ready: unknown[] = [];
        const waiting: ((message: unknown) => void)[] = [];
        let ended = false;
        const hand = (message: unknown): void => {
          const waiter = waiting.shift();
          if (waiter === undefined) {
            ready.push(message);
          } else {
            waiter(message);
          }
        };
        const stream = send("POST", "/machine/map", request, {
          head(head) {
            resolve({
              status: head.status,
              next: () => {
                if (ready.length > 0) {
                  return Promise.resolve(ready.shift());
                }
                return ended ? Promise.resolve(undefined) : new Promise((wait) => waiting.push(wait));
              },
              cancel() {
                h2.reset(stream, errorCodes.cancel);
                flush();
                finish(stream);
              },
            });
          },
          data(slice) {
            parts.push(slice);
            length += slice.length;
            while (length >= 4 && length >= wanted) {
              const buffered = parts.length === 1 ? Buffer.from(parts[0] ?? slice) : Buffer.concat(parts);
              wanted = 4 + buffered.readUInt32LE(0);
              parts = [buffered];
              if (length < wanted) {
                break;
              }
              const body = buffered.subarray(4, wanted);
              parts = [buffered.subarray(wanted)];
              length -= wanted;
              wanted = 4;
              const json = request["Compress"] === "zstd" ? decompress(body, 64 * 1024 * 1024) : body;
              assert.ok(json, "the message decompresses");
              const message = JSON.parse(json.toString("utf8")) as { PingRequest?: { URL: string } };
              if (message.PingRequest !== undefined) {
                client.onPing?.(message.PingRequest);
              }
              hand(message);
            }
          },
          end(error) {
            ended = true;
            for (const waiter of waiting.splice(0)) {
              waiter(undefined);
            }
            reject(error ?? new Error("the stream ended before it began"));
          },
        });
      });
    },
  };
  return client;
}

function bytesOf(body: unknown): Uint8Array {
  return body instanceof Uint8Array ? body : Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
}
