// How a server's port is bound. The runtime takes one new connection from a listening socket in each turn of its loop:
// when thousands dial at once most of them, and administrators among them, wait in the system's queue. So a port is
// bound by several sockets (SO_REUSEPORT): as many connections are taken in a turn, and each socket has a queue of its own.
import type { Server as HttpServer } from "node:http";
import { createServer, type AddressInfo, type ListenOptions, type Server, type Socket } from "node:net";
import type { Log } from "./log.ts";

export interface PortBinding {
  readonly address: AddressInfo;
  /** Nothing more is accepted. */
  close(): void;
}

export interface Port {
  /** Empty: all addresses. */
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Other threads of this process bind it too. */
  readonly shared: boolean;
}

/** Connections taken in one turn of the loop. Each costs a tenth of a millisecond until it waits for its handshake. */
const sockets = 8;
/** The most that may wait to be accepted at each; the system has a bound of its own (net.core.somaxconn). */
const backlog = 65_535;

/** Binds the port for a server, which may be a TLS one. Rejects with the system's error when it is taken. */
export async function bindPort(server: HttpServer, where: Port, log: Log): Promise<PortBinding> {
  const host = where.host === "" ? {} : { host: where.host };
  // Another process with the same option would get half of the connections without anybody noticing.
  const port = where.shared ? where.port : await freePort(where.host, where.port);
  const address = await bindShared(server, { ...host, port }, log);
  if (address === undefined) {
    await bind(server, { ...host, port, backlog }, log);
    return { address: addressOf(server), close: () => void server.close() };
  }
  const fronts: Server[] = [];
  for (let count = 1; count < sockets; count++) {
    const front = createServer({ noDelay: true, allowHalfOpen: true }, (socket: Socket) =>
      server.emit("connection", socket),
    );
    fronts.push(front);
    await bind(front, { ...host, port: address.port, backlog, reusePort: true }, log);
  }
  return {
    address,
    close() {
      for (const front of fronts) {
        front.close();
      }
      server.close();
    },
  };
}

/** Binds a Unix socket. */
export function bindPath(server: HttpServer, path: string, log: Log): Promise<void> {
  return bind(server, { path, backlog }, log);
}

/** The port, or any for 0, after having been bound alone for a moment: rejects while anybody has it. */
export async function freePort(host: string, port: number): Promise<number> {
  const probe = createServer();
  await bind(probe, { ...(host === "" ? {} : { host }), port }, undefined);
  const bound = addressOf(probe).port;
  await new Promise((closed) => probe.close(closed));
  return bound;
}

/** Undefined on systems that have no such option. */
async function bindShared(server: HttpServer, where: ListenOptions, log: Log): Promise<AddressInfo | undefined> {
  try {
    await bind(server, { ...where, backlog, reusePort: true }, log);
    return addressOf(server);
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOTSUP" || error.code === "EINVAL")) {
      return undefined;
    }
    throw error;
  }
}

function addressOf(server: Server): AddressInfo {
  const address = server.address();
  if (address === null || typeof address === "string") {
    throw new Error("the listener has no address");
  }
  return address;
}

function bind(server: Server, where: ListenOptions, log: Log | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      server.on("error", (error) => log?.error({ error: error.message }, "the listener failed"));
      resolve();
    });
  });
}
