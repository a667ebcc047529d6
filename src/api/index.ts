// The admin-facing edge: REST on the main listener, the Unix socket, gRPC. One table of operations behind all of them.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createAuthenticator } from "./authenticate.ts";
import type { GrpcHandler } from "./grpc/handler.ts";
import { grpcConnections, listenGrpc } from "./grpc-endpoint.ts";
import type { GrpcListener } from "./grpc-endpoint.ts";
import { listenLocal } from "./local-socket.ts";
import type { LocalSocket } from "./local-socket.ts";
import { openApiDocument } from "./openapi.ts";
import type { Caller, OperationDeps } from "./operation.ts";
import { operations } from "./operations.ts";
import { createRest, sendError, sendText } from "./rest.ts";
import { swaggerPage } from "./swagger-page.ts";

export type { OperationDeps, PolicySource } from "./operation.ts";
export { SocketInUse } from "./local-socket.ts";

export interface ApiOptions extends OperationDeps {
  /** Shown in the API's documentation. */
  readonly version: string;
  /** Network address of who sent a request, trusted proxies considered. Default: the TCP peer. */
  readonly clientAddress?: (request: IncomingMessage) => string;
  /** Told of bugs. */
  readonly onFault?: (fault: unknown) => void;
}

export interface Api {
  /** Takes requests for /api and /swagger on the main listener; false for all others, untouched. */
  handle(request: IncomingMessage, response: ServerResponse): boolean;
  /** Opens the Unix socket. Who may open the file may do everything. Throws SocketInUse when another server has it. */
  listenLocal(socketPath: string, mode: number): Promise<void>;
  /** Opens the TCP listener for gRPC (and REST), which asks for an API key. Without `tls` it serves in the clear. */
  listenGrpc(where: {
    readonly host: string;
    readonly port: number;
    readonly tls?: { readonly cert: string; readonly key: string };
  }): Promise<AddressInfo>;
  close(): Promise<void>;
}

/** Whoever can open the socket. */
const localCaller: Caller = { actor: { kind: "cli", id: "local", from: "" }, scopes: [] };

export function createApi(options: ApiOptions): Api {
  const onFault = options.onFault ?? ((fault: unknown) => console.error(fault));
  const rest = createRest({ deps: options, operations, onFault });
  const authenticator = createAuthenticator(options.tailnet, options.clock);
  const addressOf = options.clientAddress ?? ((request: IncomingMessage) => request.socket.remoteAddress ?? "");
  const calls = operations.map((operation) => operation.call);
  const listeners: (LocalSocket | GrpcListener)[] = [];

  async function grpcHandler(remote: boolean): Promise<GrpcHandler> {
    const { createGrpcHandler } = await import("./grpc/handler.ts");
    return createGrpcHandler({
      deps: options,
      operations,
      onFault,
      // Of no use to strangers: only whoever may open the socket is told.
      reflection: !remote,
      authenticate: (request) =>
        remote
          ? authenticator.check(request.headers.authorization, request.socket.remoteAddress ?? "")
          : { kind: "caller", caller: localCaller },
    });
  }

  function answer(request: IncomingMessage, response: ServerResponse, caller: Caller): void {
    rest(request, response, caller).catch((fault: unknown) => {
      onFault(fault);
      sendError(response, { code: "Internal", message: "internal error" });
    });
  }

  function answerRemote(request: IncomingMessage, response: ServerResponse): void {
    const known = authenticator.check(request.headers.authorization, addressOf(request));
    switch (known.kind) {
      case "caller":
        answer(request, response, known.caller);
        return;
      case "refused":
        request.resume();
        sendText(response, 401, "Unauthorized");
        return;
      case "too-many":
        request.resume();
        response.setHeader("retry-after", known.retryAfterSeconds);
        sendText(response, 429, "Too many wrong API keys from this address");
        return;
    }
  }

  return {
    handle(request, response) {
      const path = (request.url ?? "").split("?")[0] ?? "";
      if (path === "/api" || path.startsWith("/api/")) {
        answerRemote(request, response);
        return true;
      }
      if (path === "/swagger") {
        response.setHeader(
          "content-security-policy",
          "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        );
        sendText(response, 200, swaggerPage(calls, options.version), "text/html");
        return true;
      }
      if (path === "/swagger/v1/openapiv2.json") {
        const document = JSON.stringify(openApiDocument(calls, options.version));
        sendText(response, 200, document, "application/json");
        return true;
      }
      return false;
    },
    async listenLocal(path, mode) {
      const grpc = grpcConnections(() => grpcHandler(false));
      const onRequest = (request: IncomingMessage, response: ServerResponse): void =>
        answer(request, response, localCaller);
      listeners.push(await listenLocal({ path, mode, onRequest, onHttp2: grpc.take, closeHttp2: grpc.close }));
    },
    async listenGrpc(where) {
      const onRest = (request: IncomingMessage, response: ServerResponse): void => answerRemote(request, response);
      const listener = await listenGrpc({ ...where, onRest, loadHandler: () => grpcHandler(true) });
      listeners.push(listener);
      return listener.address;
    },
    async close() {
      await Promise.all(listeners.map((listener) => listener.close()));
    },
  };
}
