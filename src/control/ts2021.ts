// /ts2021: from an HTTP upgrade to a Noise connection (protocol §2.1–2.5). Natively a POST whose header carries the
// initiation, for browsers a WebSocket whose query does. Anybody may get this far; only from here on there is a key.
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { Clock } from "../identity/clock.ts";
import type { Prefix } from "../ip/index.ts";
import { lastWord } from "../relay/last-word.ts";
import type { PrivateKey } from "../wire/keys.ts";
import { acceptHandshake, initiationLength } from "../wire/noise.ts";
import { createAdmission } from "./admission.ts";
import { clientAddress, sourceOf } from "./client-address.ts";
import type { ControlCounters } from "./counters.ts";
import type { Edge } from "./edge.ts";
import { securityHeaders, pathOf } from "./http-handler.ts";
import { faultText, type Log } from "./log.ts";
import { socketTransport, type Transport, webSocketTransport } from "./transport.ts";

export interface Ts2021Options {
  readonly noiseKey: PrivateKey;
  readonly edge: Pick<Edge, "accept">;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: ControlCounters;
  readonly trustedProxies: readonly Prefix[];
  /** Bounds of admission.ts. */
  readonly bounds?: { readonly silent: number; readonly asking: number };
}

export interface Ts2021 {
  /** An upgrade request to /ts2021. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array): void;
  /** One that came through the front door. */
  knock(socket: Socket, handshake: string): void;
  /** How many wait for a handshake. */
  readonly waiting: number;
}

/** One who waits for a handshake, by either way. One of `turnAway`, `fail` and `accept` is called, or none. */
interface Caller {
  gone(): boolean;
  turnAway(): void;
  fail(reason: string): void;
  /** `greeting` is what carries the handshake's answer. */
  accept(answer: Uint8Array): { readonly transport: Transport; readonly greeting: Uint8Array };
}

const protocol = "tailscale-control-protocol";
const handshakeHeader = "x-tailscale-handshake";
const base64 = /^[A-Za-z0-9+/]+={0,2}$/;

export function createTs2021(options: Ts2021Options): Ts2021 {
  const { noiseKey, edge, clock, log, counters } = options;
  const admission = createAdmission({
    clock,
    later: setImmediate,
    failed: (fault) => log.error({ error: faultText(fault) }, "a handshake failed by a fault of the server"),
    ...options.bounds,
  });
  const webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    // A stranger's too: records have 4 KB at most, and clients put a few of them in a message.
    maxPayload: 64 * 1024,
    maxFragments: 64,
    maxBufferedChunks: 1024,
    clientTracking: false,
    handleProtocols: (offered) => (offered.has(protocol) ? protocol : false),
  });

  function addressOf(socket: Socket, headers: IncomingHttpHeaders): string {
    return clientAddress(socket.remoteAddress, headers, options.trustedProxies);
  }

  function handshake(address: string, initiation: Uint8Array, caller: Caller): void {
    const turnAway = (): void => {
      counters.handshakesTurnedAway++;
      caller.turnAway();
    };
    const taken = admission.add(sourceOf(address), {
      gone: () => {
        const gone = caller.gone();
        counters.handshakesAbandoned += gone ? 1 : 0;
        return gone;
      },
      turnAway,
      admit(ticket) {
        const outcome = acceptHandshake(initiation, noiseKey);
        if (!outcome.ok) {
          ticket.served();
          counters.handshakesFailed++;
          log.debug({ from: address }, `Noise handshake failed: ${outcome.reason}`);
          caller.fail(outcome.reason);
          return;
        }
        const { transport, greeting } = caller.accept(outcome.response);
        edge.accept({
          transport,
          keys: outcome,
          machineKey: outcome.machineKey,
          capVersion: outcome.version,
          source: address,
          greeting,
          ticket,
        });
      },
    });
    if (!taken) {
      turnAway();
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
    const initiation = Buffer.from(header, "base64");
    handshake(addressOf(request.socket, request.headers), initiation, callerAt(socket, head));
  }

  function callerAt(socket: Duplex, head?: Uint8Array): Caller {
    const transport = socketTransport(socket, head);
    return {
      gone: () => transport.gone,
      turnAway() {
        transport.release();
        refuseUpgrade(socket, 503, "too many nodes connect at this moment", [["retry-after", "1"]]);
      },
      fail() {
        transport.release();
        // As the reference does: the protocol is switched, then nothing follows; the client tries its next address.
        lastWord(socket, switching);
      },
      accept: (answer) => ({ transport, greeting: Buffer.concat([switching, answer]) }),
    };
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
      handshake(addressOf(request.socket, request.headers), initiation, {
        gone: () => client.readyState !== client.OPEN,
        turnAway: () => client.close(1013, "too many nodes connect at this moment"),
        fail: (reason) => client.close(1008, reason),
        accept: (answer) => ({ transport: webSocketTransport(client), greeting: answer }),
      });
    });
  }

  return {
    get waiting() {
      return admission.waiting;
    },
    knock(socket, text) {
      tuned(socket);
      handshake(addressOf(socket, {}), Buffer.from(text, "base64"), callerAt(socket));
    },
    upgrade(request, socket, head) {
      socket.on("error", () => socket.destroy());
      tuned(request.socket);
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

function tuned(socket: Socket): void {
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 60_000);
}

const reasons: Readonly<Record<number, string>> = {
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  503: "Service Unavailable",
};

/** An answer without an upgrade; the connection ends with it. */
export function refuseUpgrade(
  socket: Duplex,
  status: number,
  text: string,
  headers: readonly (readonly [name: string, value: string])[] = [],
): void {
  const head = [
    `HTTP/1.1 ${status} ${reasons[status] ?? "Error"}`,
    "Content-Type: text/plain; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(text)}`,
    "Connection: close",
    ...[...headers, ...securityHeaders].map(([name, value]) => `${name}: ${value}`),
  ];
  lastWord(socket, `${head.join("\r\n")}\r\n\r\n${text}`);
}
