// One listener for HTTP/1.1 and HTTP/2 without TLS: a connection is told by its first bytes.
import type { Socket } from "node:net";

const http2Preface = Buffer.from("PRI * HTTP/2");
/** A connection that says nothing is closed. */
const patienceMs = 10_000;

export interface ProtocolSplit {
  readonly onHttp1: (socket: Socket) => void;
  readonly onHttp2: (socket: Socket) => void;
}

/** Reads just enough of a new connection to tell, puts it back, and hands the socket on. */
export function splitProtocols(socket: Socket, { onHttp1, onHttp2 }: ProtocolSplit): void {
  let seen: Buffer = Buffer.alloc(0);
  const patience = setTimeout(() => socket.destroy(), patienceMs);
  const look = (chunk: Buffer): void => {
    seen = Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, http2Preface.length);
    const matches = seen.subarray(0, length).equals(http2Preface.subarray(0, length));
    if (matches && length < http2Preface.length) {
      return;
    }
    clearTimeout(patience);
    socket.off("data", look);
    socket.pause();
    socket.unshift(seen);
    if (matches) {
      onHttp2(socket);
    } else {
      onHttp1(socket);
    }
    process.nextTick(() => socket.resume());
  };
  socket.once("close", () => clearTimeout(patience));
  socket.on("data", look);
}
