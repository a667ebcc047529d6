// The HTTP entry of a relay connection (protocol §8.1): `Upgrade: DERP` answered with 101, or with nothing at all for a
// fast start; a real WebSocket with subprotocol "derp", which browsers use; 426 for anything else.
import type { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createWebSocketStream, WebSocketServer } from "ws";
import { headerLength, keyLength, maxPacket, protocolVersion } from "../wire/derp-frames.ts";
import { lastWord } from "./last-word.ts";

export interface Entrance {
  readonly stream: Duplex;
  readonly head: Buffer;
  /** What goes out in front of the first frame. */
  readonly preamble: Buffer;
}

const nothing = Buffer.alloc(0);
/**
 * Bytes of a message, which is put together before anybody sees it, and anybody may send one. A client's message is what
 * it writes at once: a frame, the largest with 64 KiB of packet, or a few small ones.
 */
const maxMessage = 2 * (headerLength + keyLength + maxPacket);
/** Compression is off: what is relayed is encrypted. */
const webSockets = new WebSocketServer({
  noServer: true,
  clientTracking: false,
  perMessageDeflate: false,
  maxPayload: maxMessage,
  // Each piece of a message that waits for the rest costs some hundred bytes, however small it is.
  maxFragments: 64,
  maxBufferedChunks: 1024,
  handleProtocols: () => "derp",
});

/** Hands the byte stream to `enter`, at once or, for a WebSocket, after its own handshake. */
export function openEntrance(
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  publicKeyHex: string,
  enter: (entrance: Entrance) => void,
): void {
  const upgrade = (req.headers.upgrade ?? "").toLowerCase();
  if (upgrade === "websocket" && offersDerp(req)) {
    webSockets.handleUpgrade(req, socket, head, (client) => {
      enter({ stream: createWebSocketStream(client), head: nothing, preamble: nothing });
    });
    return;
  }
  // Old clients say "websocket" and mean DERP's own framing.
  if (upgrade !== "derp" && upgrade !== "websocket") {
    refuse(socket, 426, "Upgrade Required", "DERP requires connection upgrade");
    return;
  }
  if (socket instanceof Socket) {
    socket.setNoDelay(true);
    socket.setTimeout(0);
  }
  enter({ stream: socket, head, preamble: isFastStart(req) ? nothing : switching(publicKeyHex) });
}

/** Answers an upgrade request with an HTTP error and closes. */
export function refuse(socket: Duplex, status: number, reason: string, text: string): void {
  lastWord(
    socket,
    `HTTP/1.1 ${status} ${reason}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  );
}

function offersDerp(req: IncomingMessage): boolean {
  const offered = req.headers["sec-websocket-protocol"] ?? "";
  return offered.split(",").some((name) => name.trim() === "derp");
}

function isFastStart(req: IncomingMessage): boolean {
  return req.headers["derp-fast-start"] === "1";
}

function switching(publicKeyHex: string): Buffer {
  return Buffer.from(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n" +
      `Derp-Version: ${protocolVersion}\r\nDerp-Public-Key: ${publicKeyHex}\r\n\r\n`,
  );
}

/** True for /derp, with or without a query. */
export function isDerpPath(req: IncomingMessage): boolean {
  const path = (req.url ?? "").split("?", 1)[0];
  return path === "/derp" || path === "/derp/";
}
