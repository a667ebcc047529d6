// REST /api/v1 over node:http. No framework: the dialect fixes every status, error body and even the answer to a wrong
// method (headscale reference §3.2), so there would be little left for one to do.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AnyCall } from "./call.ts";
import { jsonBytes } from "./json-bytes.ts";
import { fieldFromPath, fieldFromQuery, fromJson } from "./json-dialect.ts";
import type { Decoded } from "./json-dialect.ts";
import type { NamedField } from "./message.ts";
import type { Caller, Operation, OperationDeps } from "./operation.ts";
import { parseQuery } from "./query.ts";
import { readBody } from "./read-body.ts";
import { createRouter } from "./router.ts";
import { httpStatus, rpcCodeNumber } from "./rpc-error.ts";
import type { RpcError } from "./rpc-error.ts";
import { mayCall } from "./scopes.ts";

export interface RestOptions {
  readonly deps: OperationDeps;
  readonly operations: readonly Operation[];
  /** A bug: thrown by an operation. The client learns nothing of it. */
  readonly onFault: (fault: unknown) => void;
}

/** Answers one request whose caller is known. Paths outside /api/v1 get a plain 404. */
export type Rest = (request: IncomingMessage, response: ServerResponse, caller: Caller) => Promise<void>;

export function createRest({ deps, operations, onFault }: RestOptions): Rest {
  const route = createRouter(operations);
  return async (request, response, caller) => {
    const target = splitTarget(request.url ?? "/");
    if (!target.path.startsWith("/api/v1/")) {
      sendText(response, 404, "404 page not found\n");
      return;
    }
    const found = route(request.method ?? "GET", target.path);
    switch (found.kind) {
      case "unknown":
        sendError(response, { code: "NotFound", message: "Not Found" });
        return;
      case "wrong-method":
        sendError(response, { code: "Unimplemented", message: "Method Not Allowed" });
        return;
      case "found":
        break;
    }
    const { operation, params } = found;
    if (!mayCall(caller.scopes, operation.call.scope)) {
      const message = `this API key lacks the scope ${operation.call.scope}`;
      sendError(response, { code: "PermissionDenied", message });
      return;
    }
    const body = await readBody(request);
    switch (body.kind) {
      case "aborted":
        return;
      case "too-large":
        response.setHeader("connection", "close");
        sendError(response, { code: "ResourceExhausted", message: "request body too large" }, 413);
        return;
      case "whole":
        break;
    }
    const input = decodeInput(operation.call, params, target.query, body.text);
    if (!input.ok) {
      sendError(response, { code: "InvalidArgument", message: input.problem });
      return;
    }
    try {
      const result = await operation.run(deps, caller, input.value);
      if (result.ok) {
        send(response, 200, jsonType, await jsonBytes(operation.call.response, result.value));
      } else {
        sendError(response, result.error);
      }
    } catch (fault) {
      onFault(fault);
      sendError(response, { code: "Internal", message: "internal error" });
    }
  };
}

function splitTarget(url: string): { readonly path: string; readonly query: string } {
  const mark = url.indexOf("?");
  return mark === -1 ? { path: url, query: "" } : { path: url.slice(0, mark), query: url.slice(mark + 1) };
}

/** The request message from path, query and body, as the call says. */
function decodeInput(
  call: AnyCall,
  params: ReadonlyMap<string, string>,
  queryText: string,
  bodyText: string,
): Decoded<object> {
  let value: Readonly<Record<string, unknown>> = { ...call.request.unset };
  // Where the path says everything nobody looks at the rest, be it readable or not.
  const isComplete = call.request.fields.every((field) => params.has(field.snake));
  const query = call.input === "body" || isComplete ? noQuery : parseQuery(queryText);
  if (!query.ok) {
    return query;
  }
  if (call.input !== "query" && !isComplete && bodyText.trim() !== "") {
    const body = decodeBody(call, bodyText);
    if (!body.ok) {
      return body;
    }
    value = { ...value, ...body.value };
  }
  for (const field of call.request.fields) {
    const decoded = fieldFromUrl(field, params, query.value);
    if (decoded?.ok === false) {
      return decoded;
    }
    if (decoded !== undefined) {
      value = { ...value, [field.local]: decoded.value };
    }
  }
  return { ok: true, value };
}

const noQuery = { ok: true, value: new Map<string, readonly string[]>() } as const;

/** The path's field, else the query's in either spelling. */
function fieldFromUrl(
  field: NamedField,
  params: ReadonlyMap<string, string>,
  query: ReadonlyMap<string, readonly string[]>,
): Decoded<unknown> | undefined {
  const inPath = params.get(field.snake);
  if (inPath !== undefined) {
    return fieldFromPath(field, inPath);
  }
  const inQuery = query.get(field.local) ?? query.get(field.snake);
  return inQuery === undefined ? undefined : fieldFromQuery(field, inQuery);
}

function decodeBody(call: AnyCall, text: string): Decoded<object> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (fault) {
    return { ok: false, problem: `syntax error in the request body: ${fault instanceof Error ? fault.message : ""}` };
  }
  // grpc-gateway takes a bare null for an empty message.
  return parsed === null ? { ok: true, value: {} } : fromJson(call.request, parsed);
}

const jsonType = "application/json";

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  send(response, status, jsonType, [Buffer.from(JSON.stringify(value))]);
}

export function sendError(response: ServerResponse, error: RpcError, status = httpStatus(error.code)): void {
  sendJson(response, status, { code: rpcCodeNumber(error.code), message: error.message, details: [] });
}

export function sendText(response: ServerResponse, status: number, text: string, type = "text/plain"): void {
  send(response, status, `${type}; charset=utf-8`, [Buffer.from(text)]);
}

/** The body is the pieces one behind the other. */
function send(response: ServerResponse, status: number, contentType: string, body: readonly Uint8Array[]): void {
  if (response.headersSent || response.destroyed) {
    return;
  }
  response.statusCode = status;
  response.setHeader("content-type", contentType);
  response.setHeader(
    "content-length",
    body.reduce((sum, piece) => sum + piece.length, 0),
  );
  // Answers hold keys and names: no cache may keep them.
  response.setHeader("cache-control", "no-store");
  response.setHeader("x-content-type-options", "nosniff");
  // Head and pieces go to the kernel in one call.
  response.cork();
  for (const piece of body) {
    response.write(piece);
  }
  response.end();
  response.uncork();
}
