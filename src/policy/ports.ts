// Ports and protocols of rules: `22`, `80,443`, `8000-8100`, `*`; `tcp`, `icmp`, `47`; and the `tcp:22` of grants.
// Error texts are Tailscale's.
import { didYouMean } from "./name-hints.ts";
import type { Hint } from "./problems.ts";

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

export const allPorts: PortRange = { first: 0, last: 65535 };

export type Parsed<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly error: string; readonly hint?: Hint };

const digits = /^[0-9]+$/;

/** A comma list of ports and ranges, or `*`. What is wrong is said of the whole list. */
export function parsePorts(text: string): Parsed<readonly PortRange[]> {
  if (text === "*") {
    return { ok: true, value: [allPorts] };
  }
  const ranges: PortRange[] = [];
  for (const part of text.split(",")) {
    const range = parsePortRange(part);
    if (!range.ok) {
      const hint = () => portsHint(text);
      return { ok: false, error: `port range ${JSON.stringify(text)}: ${range.error}`, hint };
    }
    ranges.push(range.value);
  }
  return { ok: true, value: ranges };
}

function portsHint(text: string): string {
  const [ports = "", protocol = ""] = text.split("/");
  if (protocols.has(protocol.toLowerCase())) {
    return `a protocol stands in "proto" of an ACL, or before the ports of a grant: "${protocol.toLowerCase()}:${ports}"`;
  }
  if (protocols.has(text.toLowerCase())) {
    return `write "${text.toLowerCase()}:*" for all of the protocol`;
  }
  const joined = text.replaceAll(" ", "");
  return joined !== text && parsePorts(joined).ok
    ? `write "${joined}"`
    : "ports are 22, 80,443 or 8000-8100, each from 1 to 65535, or * for all";
}

function parsePortRange(text: string): Parsed<PortRange> {
  const bad = (error: string): Parsed<PortRange> => ({ ok: false, error });
  const ends = text.split("-");
  const [firstText = "", lastText = firstText] = ends;
  if (ends.length > 2 || (ends.length === 2 && ends.includes(""))) {
    return bad("invalid port range format");
  }
  if (!digits.test(firstText) || !digits.test(lastText)) {
    return bad("invalid first integer");
  }
  const first = Number(firstText);
  const last = Number(lastText);
  if (first > 65535 || last > 65535) {
    return bad("port number out of range");
  }
  if (first > last) {
    return bad("invalid port range: first port is greater than last port");
  }
  return first === 0 && ends.length === 1
    ? bad("first port must be >0, or use '*' for wildcard")
    : { ok: true, value: { first, last } };
}

const protocols: ReadonlyMap<string, number> = new Map([
  ["icmp", 1],
  ["igmp", 2],
  ["ipv4", 4],
  ["ip-in-ip", 4],
  ["tcp", 6],
  ["egp", 8],
  ["igp", 9],
  ["udp", 17],
  ["gre", 47],
  ["esp", 50],
  ["ah", 51],
  ["ipv6-icmp", 58],
  ["sctp", 132],
  ["fc", 133],
]);

/** Protocols that an absent IPProto stands for: TCP, UDP, ICMP, ICMPv6 (protocol §4.9). */
export const defaultProtocols: readonly number[] = [1, 6, 17, 58];
const withPorts = new Set([6, 17, 132]);

/** The name people know a protocol by, else its number. */
export function protocolName(protocol: number): string {
  for (const [name, number] of protocols) {
    if (number === protocol) {
      return name;
    }
  }
  return String(protocol);
}

const knownProtocol = "must be a known protocol name or valid protocol number 0-255";

/** Names in any letter case, numbers 1–255. Grants take names in lower case alone. */
export function parseProtocol(text: string): Parsed<number> {
  const named = protocols.get(text.toLowerCase());
  if (named !== undefined) {
    return { ok: true, value: named };
  }
  if (text === "*") {
    return {
      ok: false,
      error: 'proto name "*" not known; use protocol number 0-255 or protocol name (icmp, tcp, udp, etc.)',
      hint: "left out, it is TCP, UDP and ICMP",
    };
  }
  if (!/^-?[0-9]+$/.test(text)) {
    return {
      ok: false,
      error: `invalid protocol number: ${JSON.stringify(text)} ${knownProtocol}`,
      hint: () => didYouMean(text, protocols.keys()),
    };
  }
  if (text.startsWith("0")) {
    return { ok: false, error: `leading 0 not permitted in protocol number: ${JSON.stringify(text)}` };
  }
  const number = Number(text);
  return number > 255 || number < 0
    ? { ok: false, error: `protocol number out of range (0-255): ${number}` }
    : { ok: true, value: number };
}

/** Why this protocol may not have these ports in an ACL; undefined when it may. */
export function portsProblem(protocol: number | undefined, ports: readonly PortRange[]): string | undefined {
  const specific = ports.some((range) => range.first !== allPorts.first || range.last !== allPorts.last);
  return protocol === undefined || !specific || withPorts.has(protocol)
    ? undefined
    : `protocol does not support specific ports: ${JSON.stringify(protocolName(protocol))}, only "*" is allowed`;
}

/** One `ip` entry of a grant. */
export interface IpEntry {
  /** Undefined: the default four. */
  readonly protocol: number | undefined;
  readonly ports: readonly PortRange[];
}

/** `*`, `80,443`, `tcp:443`, `icmp:*`. */
export function parseIpEntry(text: string): Parsed<IpEntry> {
  const colon = text.indexOf(":");
  if (colon === -1) {
    const ports = parsePorts(text);
    return ports.ok ? { ok: true, value: { protocol: undefined, ports: ports.value } } : ports;
  }
  if (text.includes(":", colon + 1)) {
    return {
      ok: false,
      error: `expected only one colon in Internet protocol and port type, got: ${JSON.stringify(text)}`,
    };
  }
  const name = text.slice(0, colon);
  if (name !== name.toLowerCase()) {
    const error = `invalid protocol number: ${JSON.stringify(name)} ${knownProtocol}`;
    return { ok: false, error, hint: `write ${JSON.stringify(text.toLowerCase())}` };
  }
  const protocol = parseProtocol(name);
  if (!protocol.ok) {
    return protocol;
  }
  const ports = parsePorts(text.slice(colon + 1));
  return ports.ok ? { ok: true, value: { protocol: protocol.value, ports: ports.value } } : ports;
}

/** `22`, `80-443`, `*`. */
export function formatPorts(range: PortRange): string {
  if (range.first === allPorts.first && range.last === allPorts.last) {
    return "*";
  }
  return range.first === range.last ? String(range.first) : `${range.first}-${range.last}`;
}
