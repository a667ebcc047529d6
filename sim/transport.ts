// The three ways to the control server: plain TCP, TLS, and a WebSocket as browsers use it. All give bytes and take
// bytes. As with official clients, TLS certificates are not checked here: Noise authenticates the server.
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { WebSocket } from "ws";

export interface Transport {
  write(bytes: Uint8Array): void;
  /** Ends the connection at once. */
  destroy(): void;
  /** Stops and resumes reading, to play a slow client. Not for WebSockets. */
  pause(): void;
  resume(): void;
  onData: (bytes: Buffer) => void;
  /** Called once, whoever ended it. */
  onClosed: (error: Error | undefined) => void;
}

export interface TransportOptions {
  readonly url: URL;
  /** One of 127.0.0.0/8, for more connections than one address has ports. */
  readonly localAddress?: string | undefined;
}

/** TCP for http:, TLS without ALPN for https:. Data that comes before `onData` is set is kept by the socket. */
export function openSocket({ url, localAddress }: TransportOptions): Promise<Transport> {
  return new Promise((done, fail) => {
    const isTls = url.protocol === "https:";
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const port = url.port === "" ? (isTls ? 443 : 80) : Number(url.port);
    const local = localAddress === undefined ? {} : { localAddress };
    const socket: Socket = isTls
      ? connectTls({ host, port, rejectUnauthorized: false, ...local })
      : connectTcp({ host, port, ...local });
    socket.setNoDelay(true);
    socket.once("error", fail);
    socket.once(isTls ? "secureConnect" : "connect", () => {
      socket.off("error", fail);
      done(socketTransport(socket));
    });
  });
}

function socketTransport(socket: Socket): Transport {
  const transport: Transport = {
    write: (bytes) => void socket.write(bytes),
    destroy: () => void socket.destroy(),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    onData: () => {},
    onClosed: () => {},
  };
  let problem: Error | undefined;
  socket.on("error", (error) => (problem = error));
  socket.on("data", (bytes: Buffer) => transport.onData(bytes));
  socket.on("end", () => socket.destroy());
  socket.on("close", () => transport.onClosed(problem));
  return transport;
}

/** The WebSocket variant (protocol §2.3): the handshake rides in the query. */
export function openWebSocket({ url }: TransportOptions, handshake: string): Promise<Transport> {
  const target = new URL("/ts2021", url);
  target.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  target.searchParams.set("X-Tailscale-Handshake", handshake);
  return new Promise((done, fail) => {
    const socket = new WebSocket(target, "tailscale-control-protocol", {
      perMessageDeflate: false,
      rejectUnauthorized: false,
    });
    socket.binaryType = "nodebuffer";
    const transport: Transport = {
      write: (bytes) => socket.send(bytes),
      destroy: () => socket.terminate(),
      pause() {},
      resume() {},
      onData: () => {},
      onClosed: () => {},
    };
    let problem: Error | undefined;
    socket.on("error", (error) => {
      problem = error;
      fail(error);
    });
    socket.on("message", (bytes: Buffer) => transport.onData(bytes));
    socket.on("close", () => transport.onClosed(problem));
    socket.on("open", () => done(transport));
    // The server's first message may stand in the very bytes that open the socket, before anybody can have set onData.
    const early: Buffer[] = [];
    let handler: Transport["onData"] | undefined;
    Object.defineProperty(transport, "onData", {
      get: (): Transport["onData"] => handler ?? ((bytes) => early.push(bytes)),
      set: (next: Transport["onData"]) => {
        handler = next;
        for (let bytes = early.shift(); bytes !== undefined; bytes = early.shift()) {
          handler(bytes); // It may have set another one meanwhile.
        }
      },
    });
  });
}
