// What an API key may do. A key without scopes may do everything; `read` and `write` cover every area; write includes read.
import { areas } from "./call.ts";
import type { Scope } from "./call.ts";

const known: ReadonlySet<string> = new Set([
  "read",
  "write",
  ...areas.flatMap((area) => [`${area}:read`, `${area}:write`]),
]);

export function isScope(text: string): boolean {
  return known.has(text);
}

export function mayCall(scopes: readonly string[], needed: Scope): boolean {
  if (scopes.length === 0) {
    return true;
  }
  const [area = "", access] = needed.split(":");
  const enough = access === "read" ? ["read", "write", needed, `${area}:write`] : ["write", needed];
  return scopes.some((scope) => enough.includes(scope));
}

/** A key cannot make a key that may do what it may not. An empty `wanted` asks for everything. */
export function mayGrant(own: readonly string[], wanted: readonly string[]): boolean {
  if (own.length === 0) {
    return true;
  }
  return wanted.length > 0 && wanted.every((scope) => covers(own, scope));
}

function covers(own: readonly string[], scope: string): boolean {
  if (own.includes(scope) || own.includes("write")) {
    return true;
  }
  const [area = "", access] = scope.split(":");
  return access === "read" && (own.includes("read") || own.includes(`${area}:write`));
}
