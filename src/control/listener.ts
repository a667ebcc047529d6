// The main listener: HTTP/1.1 with bounds on headers, time and size, with or without TLS. Requests go to the first
// handler that takes them, upgrades by their path.
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { type Knock, openFrontDoor } from "./front-door.ts";
import { type HttpHandler, pathOf, sendText, setSecurityHeaders } from "./http-handler.ts";
import { faultText, type Log } from "./log.ts";
import { bindPath, bindPort, type PortBinding } from "./port-binding.ts";
import { refuseUpgrade } from "./ts2021.ts";

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export interface ListenerOptions {
  readonly handlers: readonly HttpHandler[];
  /** By path. */
  readonly upgrades: ReadonlyMap<string, UpgradeHandler>;
  /** Takes clients' upgrades to /ts2021 where there is no TLS; without it they are upgrades like others. */
  readonly knock?: Knock;
  readonly log: Log;
  /** PEM; undefined is plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** From the connection to the last header line, ms; 10 seconds. */
  readonly headersTimeoutMs?: number;
}

export interface Listener {
  readonly server: Server;
  /** With `shared`, other threads may listen on the same port; the system spreads connections over them. */
  listen(host: string, port: number, shared?: boolean): Promise<AddressInfo>;
  /** A Unix socket, for the server's own threads. */
  listenLocal(path: string): Promise<void>;
  /** Accepts nothing more and ends plain connections; upgraded ones are their owners' to end. */
  close(): void;
}

const bounds = {
  /** Bytes of all header lines. */
  maxHeaderSize: 16_384,
  requestTimeout: 30_000,
  keepAliveTimeout: 30_000,
} as const;

export function createListener({ handlers, upgrades, knock, log, tls, ...options }: ListenerOptions): Listener {
  const headersTimeout = options.headersTimeoutMs ?? 10_000;
  const times = { headersTimeout, connectionsCheckingInterval: Math.min(2000, headersTimeout) };
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    setSecurityHeaders(response);
    try {
      if (!handlers.some((handler) => handler(request, response))) {
        notFound(request, response);
      }
    } catch (error) {
      log.error({ error: faultText(error) }, "a page failed");
      if (!response.headersSent) {
        sendText(response, 500, "internal error");
      } else {
        response.destroy();
      }
    }
  };
  const server =
    tls === undefined
      ? createHttpServer({ ...bounds, ...times }, onRequest)
      : createHttpsServer(
          {
            ...bounds,
            ...times,
            ...tls,
            handshakeTimeout: headersTimeout,
            minVersion: "TLSv1.2",
            ALPNProtocols: ["http/1.1"],
          },
          onRequest,
        );
  server.maxHeadersCount = 100;
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    const path = pathOf(request)?.path ?? "";
    const upgrade = upgrades.get(path);
    if (upgrade === undefined) {
      refuseUpgrade(socket, 404, "not found");
      return;
    }
    upgrade(request, socket, head);
  });
  server.on("clientError", (_error, socket: Duplex) => {
    if (socket.writable) {
      refuseUpgrade(socket, 400, "bad request");
    } else {
      socket.destroy();
    }
  });

  const door = tls === undefined && knock !== undefined ? openFrontDoor(server, knock) : undefined;
  let binding: PortBinding | undefined;
  return {
    server,
    async listen(host, port, shared = false) {
      binding = await bindPort(server, { host, port, shared }, log);
      return binding.address;
    },
    listenLocal: (path) => bindPath(server, path, log),
    close() {
      if (binding === undefined) {
        server.close();
      } else {
        binding.close();
      }
      door?.closeAll();
      server.closeAllConnections();
    },
  };
}

function notFound(request: IncomingMessage, response: ServerResponse): void {
  const path = pathOf(request)?.path;
  if (path === "/ts2021") {
    // No `Upgrade` header came this far: most often a proxy dropped it.
    sendText(response, 400, "missing next protocol");
    return;
  }
  // Go's words, which headscale's callers know.
  sendText(response, 404, "404 page not found\n");
}
