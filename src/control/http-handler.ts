// Plain HTTP on the main listener: what a handler is, and the headers that every answer carries.
import type { IncomingMessage, ServerResponse } from "node:http";

/** True when the handler has taken the request (it may answer later). */
export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => boolean;

/** Set on every answer; handlers may tighten the policy, never loosen it. */
export const securityHeaders: readonly (readonly [name: string, value: string])[] = [
  ["x-frame-options", "DENY"],
  ["content-security-policy", "frame-ancestors 'none'"],
  ["x-content-type-options", "nosniff"],
  ["referrer-policy", "no-referrer"],
];

/** Our pages load nothing and run nothing; their one style sheet is inline. */
export const pagePolicy =
  "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'";

export function setSecurityHeaders(response: ServerResponse): void {
  for (const [name, value] of securityHeaders) {
    response.setHeader(name, value);
  }
}

export function send(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": Buffer.byteLength(body),
    ...headers,
  });
  response.end(response.req.method === "HEAD" ? undefined : body);
}

export function sendText(
  response: ServerResponse,
  status: number,
  text: string,
  headers?: Readonly<Record<string, string>>,
): void {
  send(response, status, "text/plain; charset=utf-8", text, headers);
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  send(response, status, "application/json", JSON.stringify(value));
}

/** Path and query of a request line; undefined for forms that have none (`*`, a whole URL, broken escapes). */
export function pathOf(request: IncomingMessage): { path: string; query: URLSearchParams } | undefined {
  const url = request.url ?? "";
  if (!url.startsWith("/")) {
    return undefined;
  }
  const mark = url.indexOf("?");
  try {
    return {
      path: decodeURIComponent(mark === -1 ? url : url.slice(0, mark)),
      query: new URLSearchParams(mark === -1 ? "" : url.slice(mark + 1)),
    };
  } catch {
    return undefined;
  }
}
