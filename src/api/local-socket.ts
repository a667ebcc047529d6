// The Unix socket for whoever may open it: no authentication but the file's permissions. It speaks HTTP/1.1 with our own
// command line and gRPC's HTTP/2 with headscale's, told apart by the first bytes of a connection.
import { chmod, lstat, mkdir, unlink } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import type { RequestListener } from "node:http";
import { connect, createServer } from "node:net";
import type { Socket } from "node:net";
import { dirname } from "node:path";
import { splitProtocols } from "./protocol-split.ts";

export interface LocalSocketOptions {
  readonly path: string;
  /** Permission bits of the socket file. */
  readonly mode: number;
  readonly onRequest: RequestListener;
  /** Takes over a connection that starts with HTTP/2's preface. */
  readonly onHttp2: (socket: Socket) => void;
  /** Asks the connections that were taken over to end. */
  readonly closeHttp2: () => void;
}

export interface LocalSocket {
  close(): Promise<void>;
}

export class SocketInUse extends Error {
  override readonly name = "SocketInUse";
}

/** Throws SocketInUse when another server answers there, and what the file system says when the place cannot be used. */
export async function listenLocal({
  path,
  mode,
  onRequest,
  onHttp2,
  closeHttp2,
}: LocalSocketOptions): Promise<LocalSocket> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await removeStale(path);
  const http = createHttpServer({ requestTimeout: 60_000, headersTimeout: 10_000 }, onRequest);
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    socket.on("error", () => socket.destroy());
    splitProtocols(socket, { onHttp1: (own) => http.emit("connection", own), onHttp2 });
  });
  await listenWithMode(server, path, mode);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        http.closeIdleConnections();
        closeHttp2();
        // What is under way gets a moment; a client that sits on an idle connection does not hold the server up.
        setTimeout(() => open.forEach((socket) => socket.destroy()), 500).unref();
      }),
  };
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) {
    return;
  }
  if (!found.isSocket()) {
    throw new Error(`${path} exists and is not a socket; remove it or set another unix_socket`);
  }
  if (await answers(path)) {
    throw new SocketInUse(`another server is listening on ${path}`);
  }
  await unlink(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}

/** The mask is narrow while the file comes into being, so that it is never open wider than asked. */
async function listenWithMode(server: ReturnType<typeof createServer>, path: string, mode: number): Promise<void> {
  const before = process.umask(0o777 & ~mode);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, () => resolve());
      // The bind happened in listen(); nothing else of this process runs before the mask is back.
      process.umask(before);
    });
  } finally {
    process.umask(before);
  }
  await chmod(path, mode);
}
