// Whose address a request counts as. Only a listed proxy may speak for others. Its word is the right-most address of
// X-Forwarded-For that is not a trusted proxy itself: that one the proxy wrote, whatever stands before it. X-Real-IP and
// True-Client-IP count only where there is no X-Forwarded-For: most proxies pass on what a client made up there
// (headscale takes those two first, and believes it).
import type { IncomingHttpHeaders } from "node:http";
import { formatAddr, isV4, maskPrefix, formatPrefix, parseAddr, prefixContains } from "../ip/index.ts";
import type { Addr, Prefix } from "../ip/index.ts";

/** Node prints an IPv4 peer of a dual-stack socket as ::ffff:1.2.3.4. */
export function parseSocketAddress(text: string | undefined): Addr | undefined {
  if (text === undefined) {
    return undefined;
  }
  const plain = text.startsWith("::ffff:") && text.includes(".") ? text.slice(7) : (text.split("%")[0] ?? text);
  return parseAddr(plain);
}

/** The client's address, or "" when there is none (Unix socket). */
export function clientAddress(
  peer: string | undefined,
  headers: IncomingHttpHeaders,
  trustedProxies: readonly Prefix[],
): string {
  const addr = parseSocketAddress(peer);
  if (addr === undefined) {
    return "";
  }
  const isTrusted = (candidate: Addr): boolean => trustedProxies.some((proxy) => prefixContains(proxy, candidate));
  if (!isTrusted(addr)) {
    return formatAddr(addr);
  }
  return formatAddr(forwardedAddress(headers, isTrusted) ?? addr);
}

function forwardedAddress(headers: IncomingHttpHeaders, isTrusted: (addr: Addr) => boolean): Addr | undefined {
  const chain = single(headers["x-forwarded-for"]);
  return chain === undefined ? namedAddress(headers) : lastHop(chain, isTrusted);
}

function namedAddress(headers: IncomingHttpHeaders): Addr | undefined {
  for (const name of ["x-real-ip", "true-client-ip"]) {
    const named = parseSocketAddress(single(headers[name])?.trim());
    if (named !== undefined) {
      return named;
    }
  }
  return undefined;
}

function lastHop(chain: string, isTrusted: (addr: Addr) => boolean): Addr | undefined {
  for (const hop of chain.split(",").reverse()) {
    const addr = parseSocketAddress(hop.trim());
    if (addr === undefined) {
      return undefined;
    }
    if (!isTrusted(addr)) {
      return addr;
    }
  }
  return undefined;
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(",") : value;
}

/** What one person can hardly have many of: the IPv4 address, or the /64 of an IPv6 address. For limits. */
export function sourceOf(address: string): string {
  const addr = parseAddr(address);
  if (addr === undefined) {
    return address;
  }
  return isV4(addr) ? formatAddr(addr) : formatPrefix(maskPrefix({ addr, bits: 64 }));
}
