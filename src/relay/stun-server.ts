// Answers clients' STUN requests over UDP; anything else is dropped in silence (protocol §8.9).
// The answer must come from the address that was asked. node:dgram cannot choose a source address per datagram, so for a
// wildcard listen address one socket is bound to each address of the host besides the wildcard socket: the system
// delivers to the most specific one. The wildcard socket serves what is left (an address that just appeared, one that
// only NAT knows), where the system's choice of source is the best there is. New addresses are looked for regularly.
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { networkInterfaces } from "node:os";
import { encodeStunResponse, parseStunRequest } from "../wire/stun.ts";
import { systemClock, type RelayClock } from "./clock.ts";
import { createRelayCounters, type RelayCounters } from "./counters.ts";
import { silentLog, type RelayLog } from "./log.ts";
import { addressBytes } from "./source-address.ts";

export interface StunServerOptions {
  /**
   * ":3478", "0.0.0.0:3478" and "[::]:3478" all mean every address of both families: a client with IPv6 loses seconds at
   * each start when a relay answers over IPv4 alone. Or one address. Port 0 takes a free one.
   */
  readonly listen: string;
  readonly counters?: RelayCounters;
  readonly clock?: RelayClock;
  readonly log?: RelayLog;
  /** This host's addresses; by default the system's. */
  readonly addresses?: () => readonly string[];
}

export interface StunServer {
  /** 0 when nothing could be bound. */
  readonly port: number;
  /** Bound addresses, wildcards included. */
  addresses(): readonly string[];
  /** Why a family does not listen; empty when all is well. */
  readonly problems: readonly string[];
  close(): Promise<void>;
}

type Family = "udp4" | "udp6";
const wildcards: ReadonlySet<string> = new Set(["", "0.0.0.0", "::"]);
const rescanMs = 30_000;

/** Starts to listen. It never fails as a whole: what could not be bound is in `problems` and in the log. */
export async function createStunServer(options: StunServerOptions): Promise<StunServer> {
  const counters = options.counters ?? createRelayCounters();
  const clock = options.clock ?? systemClock;
  const log = options.log ?? silentLog;
  const sockets = new Map<string, Socket>();
  const problems: string[] = [];
  const parsed = parseListen(options.listen);
  if (parsed === undefined) {
    const problem = `STUN: "${options.listen}" is no listen address (host:port)`;
    log("warn", problem);
    return { port: 0, addresses: () => [], problems: [problem], close: () => Promise.resolve() };
  }
  const families = familiesOf(parsed.host);
  const isWildcard = wildcards.has(parsed.host);
  let port = parsed.port;

  async function bind(family: Family, address: string, shared: boolean): Promise<void> {
    const socket = createSocket({ type: family, reuseAddr: shared, ipv6Only: family === "udp6" });
    socket.on("error", (error) => log("warn", "STUN socket", { address, error: error.message }));
    socket.on("message", (datagram, from) => answer(socket, datagram, from));
    await new Promise<void>((done, fail) => {
      socket.once("error", fail);
      socket.bind({ port, address, exclusive: true }, () => {
        socket.off("error", fail);
        done();
      });
    });
    socket.unref();
    port = socket.address().port;
    sockets.set(address, socket);
  }

  function answer(socket: Socket, datagram: Buffer, from: RemoteInfo): void {
    const txid = parseStunRequest(datagram);
    const address = txid === undefined ? undefined : addressBytes(from.address);
    if (txid === undefined || address === undefined) {
      counters.stunOther++;
      return;
    }
    counters.stunRequests++;
    socket.send(encodeStunResponse(txid, address, from.port), from.port, from.address, (error) => {
      if (error !== null) {
        counters.stunSendErrors++;
      }
    });
  }

  for (const family of families) {
    const address = isWildcard ? (family === "udp4" ? "0.0.0.0" : "::") : parsed.host;
    try {
      if (isWildcard && port !== 0) {
        // Sockets that share a port hide that somebody else has it: ask once without sharing.
        await bind(family, address, false);
        await closeSocket(sockets.get(address));
      }
      await bind(family, address, isWildcard);
    } catch (error) {
      sockets.delete(address);
      if (isWildcard && isFamilyMissing(error)) {
        continue;
      }
      const problem = `STUN cannot listen on ${address} port ${port}: ${error instanceof Error ? error.message : String(error)}`;
      problems.push(problem);
      log("warn", problem);
    }
  }

  async function followAddresses(): Promise<void> {
    const present = new Set((options.addresses ?? hostAddresses)());
    for (const [address, socket] of sockets) {
      if (address !== "0.0.0.0" && address !== "::" && !present.has(address)) {
        sockets.delete(address);
        await closeSocket(socket);
      }
    }
    for (const address of present) {
      const family = address.includes(":") ? "udp6" : "udp4";
      const wildcard = family === "udp6" ? "::" : "0.0.0.0";
      if (!sockets.has(address) && sockets.has(wildcard)) {
        // The wildcard socket still serves an address that cannot be bound (tentative, or gone again).
        await bind(family, address, true).catch(() => sockets.delete(address));
      }
    }
  }

  let stopFollowing = (): void => undefined;
  if (isWildcard && sockets.size > 0) {
    await followAddresses();
    stopFollowing = clock.every(rescanMs, () => void followAddresses());
  }
  return {
    port: sockets.size === 0 ? 0 : port,
    addresses: () => [...sockets.keys()],
    problems,
    async close() {
      stopFollowing();
      const open = [...sockets.values()];
      sockets.clear();
      await Promise.all(open.map(closeSocket));
    },
  };
}

/** A host without IPv6 (or without IPv4) is no fault. */
function isFamilyMissing(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : "";
  return code === "EAFNOSUPPORT" || code === "EADDRNOTAVAIL" || code === "EINVAL";
}

function closeSocket(socket: Socket | undefined): Promise<void> {
  return new Promise((done) => {
    if (socket === undefined) {
      done();
    } else {
      socket.close(() => done());
    }
  });
}

/** Splits "host:port", "[v6]:port" and ":port". */
export function parseListen(text: string): { readonly host: string; readonly port: number } | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2] ?? "";
  if (match === null || port > 65535 || (host !== "" && addressBytes(host) === undefined)) {
    return undefined;
  }
  return { host, port };
}

function familiesOf(host: string): readonly Family[] {
  if (wildcards.has(host)) {
    return ["udp4", "udp6"];
  }
  return [host.includes(":") ? "udp6" : "udp4"];
}

/** Addresses a client may ask: not loopback (one address answers for all of it), not link-local. */
function hostAddresses(): readonly string[] {
  return Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((item) => !item.internal && !item.address.toLowerCase().startsWith("fe80:"))
    .map((item) => item.address);
}
