// Answers to a node's requests. Text bodies are short and plain: clients show the first 200 bytes of them.
import type { EdgeReply } from "./edge-link.ts";

const encoder = new TextEncoder();
const nothing = new Uint8Array(0);

export function jsonReply(value: unknown, known: boolean): EdgeReply {
  return { status: 200, contentType: "application/json", body: encoder.encode(JSON.stringify(value)), known };
}

export function textReply(status: number, text: string, known = false): EdgeReply {
  return { status, contentType: "text/plain; charset=utf-8", body: encoder.encode(text), known };
}

export function emptyReply(status: number, known: boolean): EdgeReply {
  return { status, contentType: "", body: nothing, known };
}
