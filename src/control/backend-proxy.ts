// On an edge thread: hands everything that is not /ts2021 to the main thread, over a Unix socket that only the server's
// own process can reach. The client's address travels in a header that clients cannot set: it is replaced here.
import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { type HttpHandler, sendText } from "./http-handler.ts";

/** Carries the TCP peer's address from an edge thread to the main thread. */
export const peerHeader = "x-hawser-edge-peer";

/**
 * The TCP peer of a request. With edge threads, requests come over their Unix socket, which has no peer, and then the
 * edge's word is taken; a request that came any other way is never asked for the header.
 */
export function peerAddress(request: IncomingMessage, threads: boolean): string | undefined {
  const { remoteAddress } = request.socket;
  const told = request.headers[peerHeader];
  return remoteAddress === undefined && threads && typeof told === "string" ? told : remoteAddress;
}

/** Raw headers with the peer's address, in place of any that the client sent under that name. */
function withPeer(request: IncomingMessage): string[] {
  const kept: string[] = [];
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index] ?? "";
    if (name.toLowerCase() !== peerHeader) {
      kept.push(name, request.rawHeaders[index + 1] ?? "");
    }
  }
  return [...kept, peerHeader, request.socket.remoteAddress ?? ""];
}

export function proxyRequests(socketPath: string): HttpHandler {
  return (request: IncomingMessage, response: ServerResponse): boolean => {
    const { method, url: path } = request;
    const onward = httpRequest({ socketPath, method, path, headers: withPeer(request), setHost: false });
    onward.on("response", (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage, answer.rawHeaders);
      answer.pipe(response);
    });
    onward.on("error", (error: NodeJS.ErrnoException) => {
      const wasCut = !onward.writableFinished && (error.code === "EPIPE" || error.code === "ECONNRESET");
      if (response.headersSent) {
        response.destroy();
      } else if (!wasCut) {
        sendText(response, 502, "the server is not ready");
      } else {
        // The main thread closed while the body was on its way, which it does when there is too much of it; its answer
        // may be lost with the connection.
        sendText(response, 413, "request body too large", { connection: "close" });
      }
    });
    response.on("close", () => onward.destroy());
    request.pipe(onward);
    return true;
  };
}

/** The upgrade request as it came, then bytes both ways. */
export function proxyUpgrade(socketPath: string, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const onward = connect(socketPath);
  const lines = [`${request.method ?? "GET"} ${request.url ?? "/"} HTTP/1.1`];
  const raw = withPeer(request);
  for (let index = 0; index + 1 < raw.length; index += 2) {
    lines.push(`${raw[index] ?? ""}: ${raw[index + 1] ?? ""}`);
  }
  onward.write(Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), head]));
  socket.pipe(onward).pipe(socket);
  for (const [one, other] of [
    [socket, onward],
    [onward, socket],
  ] as const) {
    one.on("error", () => other.destroy());
    one.on("close", () => other.destroy());
  }
}
