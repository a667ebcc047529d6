// Reading a request's body within a bound.
import type { IncomingMessage } from "node:http";

/** Policies are the largest thing anybody sends here. */
export const maxBodyBytes = 4 * 1024 * 1024;

export type Body =
  | { readonly kind: "whole"; readonly text: string }
  | { readonly kind: "too-large" }
  /** The client went away. */
  | { readonly kind: "aborted" };

export async function readBody(request: IncomingMessage, limit = maxBodyBytes): Promise<Body> {
  if (Number(request.headers["content-length"] ?? 0) > limit) {
    return { kind: "too-large" };
  }
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request) {
      if (!Buffer.isBuffer(chunk)) {
        continue;
      }
      size += chunk.length;
      if (size > limit) {
        return { kind: "too-large" };
      }
      chunks.push(chunk);
    }
  } catch {
    return { kind: "aborted" };
  }
  return { kind: "whole", text: Buffer.concat(chunks).toString("utf8") };
}
