// From a URL to a Noise connection, as clients dial (protocol §1.2, §2): the server's key from /key, the upgrade of a
// plain or TLS connection or a WebSocket, and the handshake.
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { parseMachineKey } from "../src/wire/ids.ts";
import { rawKey, type PrivateKey } from "../src/wire/keys.ts";
import { frameType, responseLength, startHandshake, type SessionKeys } from "../src/wire/noise.ts";
import type { Meter } from "./meter.ts";
import { openSocket, openWebSocket, type Transport } from "./transport.ts";
import { giveUp, watch } from "./watchdog.ts";

export interface DialOptions {
  /** http: or https:. */
  readonly url: URL;
  /** The server's Noise key, 32 raw bytes, from fetchServerKey. */
  readonly serverPublic: Uint8Array;
  readonly machineKey: PrivateKey;
  /** Capability version, in prologue and header. */
  readonly version: number;
  readonly meter: Meter;
  readonly webSocket?: boolean;
  readonly localAddress?: string | undefined;
  /** From the dial to the handshake's answer: 10 s unless said otherwise, as clients have it. */
  readonly timeoutMs?: number;
}

export interface Dialled {
  readonly transport: Transport;
  readonly keys: SessionKeys;
  /** What has come behind the handshake's answer until now; to be taken when the next handler stands. */
  readonly takeRest: () => Buffer;
}

/** Fetches the server's Noise key from `/key?v=`. `ca` is a PEM to trust beside the usual ones. */
export async function fetchServerKey(url: URL, version: number, ca?: string): Promise<Uint8Array> {
  const body = await get(new URL(`/key?v=${version}`, url), ca);
  const document: unknown = JSON.parse(body);
  const text =
    typeof document === "object" && document !== null && "publicKey" in document ? document.publicKey : undefined;
  const key = typeof text === "string" ? parseMachineKey(text) : undefined;
  if (key === undefined) {
    throw new Error(`/key gave no Noise key: ${body.slice(0, 200)}`);
  }
  return rawKey(key);
}

function get(url: URL, ca: string | undefined): Promise<string> {
  return new Promise((done, fail) => {
    const request =
      url.protocol === "https:"
        ? httpsRequest(url, { agent: false, ...(ca === undefined ? {} : { ca }) })
        : httpRequest(url, { agent: false });
    request.on("error", fail);
    request.on("response", (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => (body += part));
      response.on("error", fail);
      response.on("end", () => {
        if (response.statusCode === 200) {
          done(body);
        } else {
          fail(new Error(`GET ${url.pathname}: ${response.statusCode} ${body.slice(0, 200)}`));
        }
      });
    });
    request.end();
  });
}

/** Dials and shakes hands; throws an Error that says what the server did instead. */
export async function dial(options: DialOptions): Promise<Dialled> {
  const { url, serverPublic, machineKey, version, meter, webSocket = false, timeoutMs = 10_000 } = options;
  const handshake = startHandshake({ version, machineKey, serverPublic });
  if (!handshake.ok) {
    throw new Error(`no handshake is possible with this server key: ${handshake.reason}`);
  }
  const startedAt = performance.now();
  const initiation = Buffer.from(handshake.initiation).toString("base64");
  const transport = webSocket ? await openWebSocket(options, initiation) : await openSocket(options);
  meter.connections++;
  if (!webSocket) {
    const head =
      `POST /ts2021 HTTP/1.1\r\nHost: ${url.host}\r\nUpgrade: tailscale-control-protocol\r\n` +
      `Connection: upgrade\r\nX-Tailscale-Handshake: ${initiation}\r\n\r\n`;
    meter.bytesOut += head.length;
    transport.write(Buffer.from(head, "latin1"));
  }
  const { received, takeLater } = await receive(
    transport,
    meter,
    timeoutMs - (performance.now() - startedAt),
    (bytes) => {
      const start = webSocket ? 0 : bodyStart(bytes);
      return start === undefined ? undefined : answerEnd(bytes, start);
    },
  );
  const start = webSocket ? 0 : (bodyStart(received) ?? 0);
  const result = handshake.finish(received.subarray(start, start + responseLength));
  if (!result.ok) {
    transport.destroy();
    throw new Error(`the handshake failed: ${result.reason}`);
  }
  return {
    transport,
    keys: result,
    takeRest: () => Buffer.concat([received.subarray(start + responseLength), takeLater()]),
  };
}

/** Where the bytes behind the 101 begin; undefined while it is incomplete. Throws on any other status. */
function bodyStart(bytes: Buffer): number | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end === -1) {
    return undefined;
  }
  const head = bytes.toString("latin1", 0, end);
  const [statusLine = "", ...lines] = head.split("\r\n");
  if (!/^HTTP\/1\.1 101( |$)/.test(statusLine)) {
    throw new Error(`the upgrade was refused: ${statusLine} ${bytes.toString("utf8", end + 4, end + 204)}`);
  }
  if (!lines.some((line) => /^upgrade: tailscale-control-protocol$/i.test(line))) {
    throw new Error(`the server switched to another protocol: ${head}`);
  }
  return end + 4;
}

/** Where the handshake's answer ends; undefined while it is incomplete. */
function answerEnd(bytes: Buffer, start: number): number | undefined {
  if (bytes.length > start && bytes[start] === frameType.error) {
    throw new Error(`the server refused the handshake: ${bytes.toString("utf8", start + 3)}`);
  }
  return bytes.length >= start + responseLength ? start + responseLength : undefined;
}

interface Received {
  readonly received: Buffer;
  /** What came behind it before the next handler stood. */
  readonly takeLater: () => Buffer;
}

/** Gathers bytes until `enough` says so. */
function receive(
  transport: Transport,
  meter: Meter,
  timeoutMs: number,
  enough: (bytes: Buffer) => number | undefined,
): Promise<Received> {
  return new Promise((done, fail) => {
    let bytes: Buffer = Buffer.alloc(0);
    const stop = (error: Error): void => {
      giveUp(timeout);
      transport.onClosed = () => {};
      transport.destroy();
      fail(error);
    };
    const timeout = watch(timeoutMs, () => stop(new Error("no handshake in time")));
    transport.onClosed = (error) => stop(error ?? new Error("closed during the handshake"));
    transport.onData = (part) => {
      meter.bytesIn += part.length;
      bytes = bytes.length === 0 ? part : Buffer.concat([bytes, part]);
      try {
        if (enough(bytes) !== undefined) {
          giveUp(timeout);
          // Nothing may fall between two handlers: a socket stops reading, a WebSocket cannot.
          transport.pause();
          const later: Buffer[] = [];
          transport.onData = (part) => {
            meter.bytesIn += part.length;
            later.push(part);
          };
          done({ received: bytes, takeLater: () => Buffer.concat(later) });
        }
      } catch (error) {
        stop(error instanceof Error ? error : new Error(String(error)));
      }
    };
  });
}
