// Where gRPC comes in: HTTP/2 connections of the Unix socket, and a TCP listener of its own (grpc_listen_addr). The
// gRPC library is loaded with the first connection. The TCP listener answers REST too, so that one address serves
// headscale's remote command line and Hawser's.
import { createServer as createHttpServer } from "node:http";
import type { RequestListener } from "node:http";
import { createSecureServer, createServer as createHttp2Server } from "node:http2";
import type { Http2SecureServer, Http2Server, Http2ServerRequest, Http2ServerResponse, Http2Session } from "node:http2";
import { createServer as createNetServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import type { GrpcHandler } from "./grpc/handler.ts";
import { splitProtocols } from "./protocol-split.ts";

/** Bounds on what one HTTP/2 connection may hold. */
const http2Limits = {
  maxSessionMemory: 16,
  settings: { maxConcurrentStreams: 100, maxHeaderListSize: 16 * 1024, enablePush: false },
  unknownProtocolTimeout: 10_000,
} as const;

type LoadHandler = () => Promise<GrpcHandler>;

export interface GrpcConnections {
  readonly take: (socket: Socket) => void;
  /** Idle sessions end now, the others with their last answer. */
  readonly close: () => void;
}

/** Serves gRPC on plain connections that are handed over. */
export function grpcConnections(load: LoadHandler): GrpcConnections {
  const server = createHttp2Server(http2Limits, lazily(load));
  server.on("sessionError", () => undefined);
  return { take: (socket) => void server.emit("connection", socket), close: closerOf(server) };
}

function closerOf(server: Http2Server | Http2SecureServer): () => void {
  const sessions = new Set<Http2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  return () => sessions.forEach((session) => session.close());
}

function lazily(load: LoadHandler): (request: Http2ServerRequest, response: Http2ServerResponse) => void {
  let handler: Promise<GrpcHandler> | undefined;
  return (request, response) => {
    handler ??= load();
    handler.then(
      (handle) => handle(request, response),
      () => response.stream.destroy(),
    );
  };
}

export interface GrpcListenOptions {
  readonly host: string;
  readonly port: number;
  /** Undefined serves in the clear. */
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly loadHandler: LoadHandler;
  /** REST on the same address. */
  readonly onRest: RequestListener;
}

export interface GrpcListener {
  readonly address: AddressInfo;
  close(): Promise<void>;
}

/** Throws what the system says when the address cannot be had. */
export async function listenGrpc({ host, port, tls, loadHandler, onRest }: GrpcListenOptions): Promise<GrpcListener> {
  const open = new Set<Socket>();
  const grpc = lazily(loadHandler);
  const { server, endSessions } = tls === undefined ? plainServer() : tlsServer(tls);
  server.on("connection", (socket: Socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    socket.on("error", () => socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host === "" ? undefined : host, () => {
      server.off("error", reject);
      resolve();
    });
  });

  function plainServer() {
    const rest = createHttpServer({ requestTimeout: 30_000, headersTimeout: 10_000 }, onRest);
    const connections = grpcConnections(loadHandler);
    const server = createNetServer((socket) => {
      splitProtocols(socket, { onHttp1: (own) => rest.emit("connection", own), onHttp2: connections.take });
    });
    return { server, endSessions: connections.close };
  }

  function tlsServer(own: { readonly cert: string; readonly key: string }) {
    const options = {
      ...http2Limits,
      ...own,
      allowHTTP1: true,
      minVersion: "TLSv1.2",
      handshakeTimeout: 10_000,
    } as const;
    const secure = createSecureServer(options, (request, response) => {
      if (request.httpVersionMajor === 2 && isGrpc(request)) {
        grpc(request, response);
      } else {
        // Node's compatibility layer makes HTTP/2 requests look like HTTP/1's to the REST handler.
        (onRest as unknown as (request: Http2ServerRequest, response: Http2ServerResponse) => void)(request, response);
      }
    });
    secure.on("sessionError", () => undefined);
    secure.on("tlsClientError", () => undefined);
    return { server: secure, endSessions: closerOf(secure) };
  }

  return {
    address: server.address() as AddressInfo,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        endSessions();
        setTimeout(() => open.forEach((socket) => socket.destroy()), 500).unref();
      }),
  };
}

function isGrpc(request: Http2ServerRequest): boolean {
  return (request.headers["content-type"] ?? "").startsWith("application/grpc");
}
