// /ts2021: from an HTTP upgrade to a Noise connection (protocol §2.1–2.5). Natively a POST whose header carries the
// initiation, for browsers a WebSocket whose query does. Anybody may get this far; only from here on there is a key.
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { Clock } from "../identity/clock.ts";
import type { Prefix } from "../ip/index.ts";
import { lastWord } from "../relay/last-word.ts";
import type { PrivateKey } from "../wire/keys.ts";
import { acceptHandshake, initiationLength } from "../wire/noise.ts";
import { clientAddress, sourceOf } from "./client-address.ts";
import type { ControlCounters } from "./counters.ts";
import type { Edge } from "./edge.ts";
import { createHandshakeQueue } from "./handshake-queue.ts";
import { securityHeaders, pathOf } from "./http-handler.ts";
import type { Log } from "./log.ts";
import { socketTransport, type Transport, webSocketTransport } from "./transport.ts";

export interface Ts2021Options {
  readonly noiseKey: PrivateKey;
  readonly edge: Pick<Edge, "accept">;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: ControlCounters;
  readonly trustedProxies: readonly Prefix[];
}

export interface Ts2021 {
  /** An upgrade request to /ts2021. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array): void;
}

const protocol = "tailscale-control-protocol";
const handshakeHeader = "x-tailscale-handshake";
/** From the upgrade request to the handshake's answer. */
const deadlineMs = 10_000;
const base64 = /^[A-Za-z0-9+/]+={0,2}$/;

export function createTs2021(options: Ts2021Options): Ts2021 {
  const { noiseKey, edge, clock, log, counters } = options;
  const queue = createHandshakeQueue({ elapsed: () => clock.elapsed(), later: setImmediate });
  const webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: 1024 * 1024,
    clientTracking: false,
    handleProtocols: (offered) => (offered.has(protocol) ? protocol : false),
  });

  /** `open` switches the protocol and returns the transport; `greet` makes of the Noise answer what goes out first. */
  function handshake(
    request: IncomingMessage,
    initiation: Uint8Array,
    transport: Transport,
    greet: (answer: Uint8Array) => Uint8Array,
    fail: (reason: string) => void,
  ): void {
    const address = clientAddress(request.socket.remoteAddress, request.headers, options.trustedProxies);
    const refuse = (reason: string): void => {
      counters.handshakesFailed++;
      log.debug({ from: address }, `Noise handshake failed: ${reason}`);
      fail(reason);
    };
    const startedAt = clock.elapsed();
    const job = (): void => {
      if (request.socket.destroyed) {
        return;
      }
      if (clock.elapsed() - startedAt > deadlineMs) {
        refuse("it waited for too long");
        return;
      }
      const outcome = acceptHandshake(initiation, noiseKey);
      if (!outcome.ok) {
        refuse(outcome.reason);
        return;
      }
      edge.accept({
        transport,
        keys: outcome,
        machineKey: outcome.machineKey,
        capVersion: outcome.version,
        source: address,
        greeting: greet(outcome.response),
      });
    };
    if (!queue.add(sourceOf(address), job)) {
      refuse("too many handshakes are waiting");
    }
  }

  function native(request: IncomingMessage, socket: Duplex, head: Uint8Array): void {
    if (request.method !== "POST") {
      refuseUpgrade(socket, 405, "method not allowed");
      return;
    }
    const header = request.headers[handshakeHeader];
    if (typeof header !== "string" || header === "") {
      refuseUpgrade(socket, 400, "missing Tailscale handshake header");
      return;
    }
    if (header.length > 1024 || header.length % 4 !== 0 || !base64.test(header)) {
      refuseUpgrade(socket, 400, "invalid tailscale handshake header");
      return;
    }
    handshake(
      request,
      Buffer.from(header, "base64"),
      socketTransport(socket, head),
      (answer) => Buffer.concat([switching, answer]),
      // As the reference does: the protocol is switched, then nothing follows; the client tries its next address.
      () => lastWord(socket, switching),
    );
  }

  function webSocket(request: IncomingMessage, socket: Duplex, head: Uint8Array): void {
    if (request.method !== "GET") {
      refuseUpgrade(socket, 405, "method not allowed");
      return;
    }
    webSockets.handleUpgrade(request, socket, Buffer.from(head), (client: WebSocket) => {
      client.on("error", () => client.terminate());
      const text = pathOf(request)?.query.get("X-Tailscale-Handshake") ?? "";
      const initiation = Buffer.from(text.replaceAll(" ", "+"), "base64");
      if (client.protocol !== protocol || initiation.length !== initiationLength) {
        counters.handshakesFailed++;
        client.close(1008, "missing or invalid handshake");
        return;
      }
      handshake(
        request,
        initiation,
        webSocketTransport(client),
        (answer) => answer,
        (reason) => client.close(1008, reason),
      );
    });
  }

  return {
    upgrade(request, socket, head) {
      socket.on("error", () => socket.destroy());
      request.socket.setNoDelay(true);
      request.socket.setKeepAlive(true, 60_000);
      switch (request.headers.upgrade?.toLowerCase() ?? "") {
        case protocol:
          native(request, socket, head);
          return;
        case "websocket":
          webSocket(request, socket, head);
          return;
        default:
          refuseUpgrade(socket, 400, "unknown next protocol");
      }
    },
  };
}

const switching = Buffer.from(
  `HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${protocol}\r\nConnection: upgrade\r\n\r\n`,
  "latin1",
);

const reasons: Readonly<Record<number, string>> = { 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed" };

/** An answer without an upgrade; the connection ends with it. */
export function refuseUpgrade(socket: Duplex, status: number, text: string): void {
  const head = [
    `HTTP/1.1 ${status} ${reasons[status] ?? "Error"}`,
    "Content-Type: text/plain; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(text)}`,
    "Connection: close",
    ...securityHeaders.map(([name, value]) => `${name}: ${value}`),
  ];
  lastWord(socket, `${head.join("\r\n")}\r\n\r\n${text}`);
}
