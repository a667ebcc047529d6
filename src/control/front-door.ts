// The door before the HTTP server, for connections without TLS. Nearly all of them are clients that send one short
// request, whole and always the same: the upgrade of protocol §2.2. That one is read here; Node's HTTP server, for which
// each is a parser, a request, a dozen listeners and their removal, gets everything else, unread: other requests, others'
// headers, heads that come in pieces, and whoever says nothing.
import type { Server as HttpServer } from "node:http";
import type { Socket } from "node:net";

/** A client's upgrade; `handshake` is the header's base64 text. The socket is paused, and its errors are seen to. */
export type Knock = (socket: Socket, handshake: string) => void;

export interface FrontDoor {
  /** Ends connections that have said nothing yet. */
  closeAll(): void;
}

/**
 * How long a connection may be silent before it is the HTTP server's to watch, ms: at most twice this. Its time for
 * headers begins then.
 */
const silentMs = 50;

/** Stands before all connections of the server from now on. */
export function openFrontDoor(server: HttpServer, knock: Knock): FrontDoor {
  const within = server.listeners("connection");
  server.removeAllListeners("connection");
  /** Have said nothing: since the last look, and since the one before. */
  let fresh = new Set<Socket>();
  let stale = new Set<Socket>();
  let timer: NodeJS.Timeout | undefined;

  const forget = (socket: Socket): void => {
    socket.off("data", heard);
    if (!fresh.delete(socket)) {
      stale.delete(socket);
    }
  };
  const handOver = (socket: Socket): void => {
    forget(socket);
    socket.pause();
    for (const listener of within) {
      Reflect.apply(listener, server, [socket]);
    }
    process.nextTick(() => socket.resume());
  };
  function heard(this: Socket, bytes: Buffer): void {
    // Nothing is lost, and nothing comes here again, until the next listener stands.
    this.pause();
    const handshake = handshakeOf(bytes);
    if (handshake !== undefined) {
      forget(this);
      knock(this, handshake);
      return;
    }
    this.unshift(bytes);
    handOver(this);
  }
  const look = (): void => {
    for (const socket of stale) {
      if (socket.readableEnded || socket.destroyed) {
        forget(socket);
        socket.destroy();
      } else {
        handOver(socket);
      }
    }
    [stale, fresh] = [fresh, stale];
    if (stale.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
  server.on("connection", (socket: Socket) => {
    // It stays: whoever has the socket later only adds to it.
    socket.on("error", destroyed);
    socket.on("data", heard);
    fresh.add(socket);
    timer ??= setInterval(look, silentMs).unref();
  });

  return {
    closeAll() {
      for (const socket of [...fresh, ...stale]) {
        forget(socket);
        socket.destroy();
      }
    },
  };
}

function destroyed(this: Socket): void {
  this.destroy();
}

const requestLine = "POST /ts2021 HTTP/1.1\r\n";
/** Ours and proxies' requests are longer only with headers that are not known here. */
const maxLength = 1024;
const headerLine = /^([A-Za-z-]+): ([\x21-\x7e]+(?: [\x21-\x7e]+)*)$/;
const base64 = /^(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** What clients send (Go's HTTP client adds the last three), and what each must be; undefined is anything. */
const headers: ReadonlyMap<string, RegExp | undefined> = new Map([
  ["host", undefined],
  ["connection", /^upgrade$/i],
  ["upgrade", /^tailscale-control-protocol$/],
  ["x-tailscale-handshake", base64],
  ["user-agent", undefined],
  ["content-length", /^0$/],
  ["accept-encoding", undefined],
]);
const required = ["host", "connection", "upgrade"] as const;

/** The handshake of an upgrade as clients send it, whole and with nothing behind it; undefined for all else. */
export function handshakeOf(bytes: Buffer): string | undefined {
  if (bytes.length > maxLength) {
    return undefined;
  }
  const text = bytes.toString("latin1");
  if (!text.startsWith(requestLine) || !text.endsWith("\r\n\r\n")) {
    return undefined;
  }
  const found = new Map<string, string>();
  for (const line of text.slice(requestLine.length, -4).split("\r\n")) {
    const match = headerLine.exec(line);
    const name = match?.[1]?.toLowerCase() ?? "";
    const value = match?.[2] ?? "";
    if (!headers.has(name) || found.has(name) || headers.get(name)?.test(value) === false) {
      return undefined;
    }
    found.set(name, value);
  }
  return required.every((name) => found.has(name)) ? found.get("x-tailscale-handshake") : undefined;
}
