// A two-way stream of bytes under Noise: a TCP or TLS socket after its upgrade, or a WebSocket whose message boundaries
// mean nothing. Only what a connection needs of either.
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import type { WebSocket } from "ws";

export interface TransportEvents {
  /** Bytes that belong to the receiver from now on. */
  data(bytes: Uint8Array): void;
  /** After a `write` that returned false: there is room again. */
  drain(): void;
  /** Both directions are over. Comes once. */
  closed(): void;
}

export interface Transport {
  start(events: TransportEvents): void;
  /**
   * False when no more should be written until `drain`. `taken` is called when nothing reads `bytes` any more; not at all
   * when they could not be written.
   */
  write(bytes: Uint8Array, taken?: () => void): boolean;
  /**
   * As `write`, of bytes that the caller wants back. True when nothing reads them any more; false when they are the
   * transport's from now on, and no more should be written until `drain`.
   */
  lend(bytes: Uint8Array): boolean;
  /** Ends after what was written has gone out. */
  end(): void;
  destroy(): void;
}

const nothing = Buffer.alloc(0);

/** A socket after its upgrade, at first waiting for its handshake; its errors are somebody else's to see to. */
export interface SocketTransport extends Transport {
  readonly gone: boolean;
  /** The socket is to have another use. */
  release(): void;
}

/** `head` is what came right behind the upgrade request. */
export function socketTransport(socket: Duplex, head?: Uint8Array): SocketTransport {
  // Of a plain socket it can be told whether the system has taken all. Others may hold on to what they were given.
  const isPlain = socket instanceof Socket && !(socket instanceof TLSSocket);
  let drained: (() => void) | undefined;
  // Half-open connections are of no use here: a client that gives up says no more than that it sends nothing further.
  const ended = (): void => void socket.destroy();
  socket.on("end", ended);

  /** False when no more should be written until `drained` is called. */
  function writeLent(bytes: Uint8Array): boolean {
    const belowMark = socket.write(bytes);
    if (socket.writableLength > 0 && belowMark) {
      // No "drain" will come of it. What follows it is written after it.
      socket.write(
        nothing,
        unlessFailed(() => drained?.()),
      );
    }
    return socket.writableLength === 0;
  }

  return {
    get gone() {
      return socket.destroyed;
    },
    release: () => void socket.off("end", ended),
    start(events) {
      if (socket.destroyed) {
        events.closed();
        return;
      }
      drained = () => events.drain();
      socket.once("close", () => events.closed());
      socket.on("drain", drained);
      if (head !== undefined && head.length > 0) {
        events.data(head);
      }
      socket.on("data", (bytes: Uint8Array) => events.data(bytes));
      socket.resume();
    },
    write: (bytes, taken) =>
      socket.writable && socket.write(bytes, taken === undefined ? undefined : unlessFailed(taken)),
    lend(bytes) {
      if (!socket.writable) {
        return false;
      }
      return isPlain ? writeLent(bytes) : socket.write(Buffer.from(bytes));
    },
    end: () => socket.end(),
    destroy: () => socket.destroy(),
  };
}

/** A write that failed may have left its bytes with the system. */
function unlessFailed(taken: () => void): (error: Error | null | undefined) => void {
  return (error) => {
    if (error === undefined || error === null) {
      taken();
    }
  };
}

/** Above this many unsent bytes a WebSocket is full. */
const webSocketHighWater = 65_536;

export function webSocketTransport(socket: WebSocket): Transport {
  let full = false;
  let events: TransportEvents | undefined;

  function write(bytes: Uint8Array, taken?: () => void): boolean {
    if (socket.readyState !== socket.OPEN) {
      return false;
    }
    socket.send(bytes, (error) => {
      if (error === undefined || error === null) {
        taken?.();
      }
      if (full && socket.bufferedAmount <= webSocketHighWater / 4) {
        full = false;
        events?.drain();
      }
    });
    full ||= socket.bufferedAmount > webSocketHighWater;
    return !full;
  }

  return {
    start(given) {
      events = given;
      socket.binaryType = "nodebuffer";
      socket.on("message", (data, isBinary) => {
        if (!isBinary || !Buffer.isBuffer(data)) {
          socket.close(1003, "binary messages only");
          return;
        }
        given.data(data);
      });
      socket.on("error", () => socket.terminate());
      socket.on("close", () => given.closed());
    },
    write,
    // It may hold on to what it was given.
    lend: (bytes) => write(Buffer.from(bytes)),
    end: () => socket.close(1000),
    destroy: () => socket.terminate(),
  };
}
