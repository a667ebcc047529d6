// Whole replies with their length.
import type { ServerResponse } from "node:http";

export function text(
  res: ServerResponse,
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  res
    .writeHead(status, {
      "Content-Type": "text/plain; charset=utf-8",
      "Content-Length": String(Buffer.byteLength(body)),
      ...headers,
    })
    .end(body);
}

export function json(res: ServerResponse, status: number, body: string): void {
  res
    .writeHead(status, { "Content-Type": "application/json", "Content-Length": String(Buffer.byteLength(body)) })
    .end(body);
}
