// The admin-facing edge: REST on the main listener, the Unix socket, gRPC. One table of operations behind all of them.
import type { IncomingMessage, ServerResponse } from "node:http";
import { createAuthenticator } from "./authenticate.ts";
import { listenLocal } from "./local-socket.ts";
import type { LocalSocket } from "./local-socket.ts";
import { openApiDocument } from "./openapi.ts";
import type { Caller, OperationDeps } from "./operation.ts";
import { operations } from "./operations.ts";
import { createRest, send, sendError, sendJson, sendText } from "./rest.ts";
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
  const sockets: LocalSocket[] = [];

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
      if (path === "/swagger" || path === "/swagger/") {
        response.setHeader(
          "content-security-policy",
          "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        );
        send(response, 200, "text/html; charset=utf-8", swaggerPage(calls, options.version));
        return true;
      }
      if (path === "/swagger/v1/openapiv2.json") {
        sendJson(response, 200, openApiDocument(calls, options.version));
        return true;
      }
      return false;
    },
    async listenLocal(path, mode) {
      sockets.push(
        await listenLocal({ path, mode, onRequest: (request, response) => answer(request, response, localCaller) }),
      );
    },
    async close() {
      await Promise.all(sockets.map((socket) => socket.close()));
    },
  };
}
