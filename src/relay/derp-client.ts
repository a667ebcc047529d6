// The client's side of DERP: for mesh links between relays, for probes and for tests. It dials, shakes hands and turns
// frames into events; reconnecting is its owner's business.
import { randomBytes } from "node:crypto";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import {
  encodeClientInfo,
  encodeClosePeer,
  encodeForwardPacket,
  encodeFrame,
  encodeNotePreferred,
  encodePing,
  encodePong,
  encodeSendPacket,
  encodeWatchConns,
  frameType,
  headerLength,
  maxFrameToClient,
  parsePacket,
  parsePeerGone,
  parsePeerPresent,
  parsePing,
  parseRestarting,
  parseServerInfo,
  parseServerKey,
  protocolVersion,
  type PeerPresent,
} from "../wire/derp-frames.ts";
import { FrameSplitter } from "../wire/derp-splitter.ts";
import type { PrivateKey } from "../wire/keys.ts";
import { boxNonceLength, boxReady, openBox, sealBox, sharedBoxKey } from "../wire/nacl-box.ts";

export type DerpEvent =
  | { readonly kind: "packet"; readonly source: Buffer; readonly packet: Buffer }
  | { readonly kind: "peer-gone"; readonly key: Buffer; readonly reason: number }
  | ({ readonly kind: "peer-present" } & PeerPresent)
  | { readonly kind: "pong"; readonly data: Buffer }
  | { readonly kind: "keep-alive" }
  | { readonly kind: "health"; readonly problem: string }
  | { readonly kind: "restarting"; readonly reconnectInMs: number; readonly tryForMs: number };

export interface DerpDial {
  readonly host: string;
  readonly port: number;
  /** Present: TLS with these options. */
  readonly tls?: ConnectionOptions;
  readonly privateKey: PrivateKey;
  /** The server key if it is known already: asks for a fast start, without the 101 answer. */
  readonly fastStartKey?: Uint8Array;
  /** 64 hex digits. */
  readonly meshKey?: string;
  readonly isProber?: boolean;
  readonly idealNode?: string;
  readonly onEvent: (event: DerpEvent) => void;
  /** From dialling to ServerInfo, ms. */
  readonly timeoutMs?: number;
}

export interface ServerInfo {
  readonly version?: number;
  readonly TokenBucketBytesPerSecond?: number;
  readonly TokenBucketBytesBurst?: number;
}

export interface DerpClient {
  readonly serverKey: Uint8Array;
  readonly info: ServerInfo;
  readonly socket: Socket;
  /** Resolves when the connection has ended, for whatever reason. */
  readonly closed: Promise<void>;
  /** False when the socket asks to wait. */
  send(destination: Uint8Array, packet: Uint8Array): boolean;
  forward(source: Uint8Array, destination: Uint8Array, packet: Uint8Array): boolean;
  ping(data: Uint8Array): void;
  notePreferred(preferred: boolean): void;
  watchConns(): void;
  closePeer(key: Uint8Array): void;
  /** A frame of any type, for tests. */
  raw(type: number, payload: Uint8Array): void;
  close(): void;
}

/** Dials and shakes hands; rejects when the relay refuses, which it does by hanging up. */
export async function dialDerp(dial: DerpDial): Promise<DerpClient> {
  await boxReady;
  const socket =
    dial.tls === undefined
      ? connectTcp({ host: dial.host, port: dial.port })
      : connectTls({ host: dial.host, port: dial.port, ...dial.tls });
  const closed = new Promise<void>((done) => {
    socket.once("close", () => done());
  });
  try {
    const { serverKey, info } = await greet(socket, dial);
    return clientOn(socket, serverKey, info, closed);
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function greet(socket: Socket, dial: DerpDial): Promise<{ readonly serverKey: Uint8Array; readonly info: ServerInfo }> {
  return new Promise((done, fail) => {
    const timer = setTimeout(() => fail(new Error("the relay did not answer in time")), dial.timeoutMs ?? 10_000);
    let serverKey: Uint8Array | undefined = dial.fastStartKey;
    let shared: Uint8Array | undefined;
    let greeted = false;
    const introduce = (key: Uint8Array): void => {
      serverKey = key;
      shared = sharedBoxKey(key, dial.privateKey);
      if (shared === undefined) {
        fail(new Error("the relay's key is of low order"));
        return;
      }
      const nonce = randomBytes(boxNonceLength);
      socket.write(encodeClientInfo(dial.privateKey.publicRaw, nonce, sealBox(clientInfo(dial), nonce, shared)));
    };
    const splitter: FrameSplitter = new FrameSplitter({
      accept: (_type, length) => (length <= maxFrameToClient ? "take" : "refuse"),
      flush: () => undefined,
      frame(type, buffer, start, end) {
        const payload = buffer.subarray(start + headerLength, end);
        if (greeted) {
          deliver(type, payload, socket, dial.onEvent);
        } else if (type === frameType.serverKey) {
          const key = parseServerKey(payload);
          if (key === undefined) {
            fail(new Error("the relay sent a malformed ServerKey"));
          } else if (dial.fastStartKey === undefined) {
            introduce(key);
          }
        } else if (type === frameType.serverInfo) {
          const info = shared && openServerInfo(payload, shared);
          if (info === undefined || serverKey === undefined) {
            fail(new Error("the relay's ServerInfo does not open"));
            return;
          }
          greeted = true;
          clearTimeout(timer);
          done({ serverKey, info });
        }
      },
    });
    let answer: Buffer | undefined = dial.fastStartKey === undefined ? Buffer.alloc(0) : undefined;
    socket.on("data", (chunk: Buffer) => {
      if (answer === undefined) {
        splitter.push(chunk);
        return;
      }
      answer = Buffer.concat([answer, chunk]);
      const end = answer.indexOf("\r\n\r\n");
      if (end >= 0) {
        const rest = answer.subarray(end + 4);
        const status = answer.toString("latin1", 0, answer.indexOf("\r\n"));
        answer = undefined;
        if (!status.startsWith("HTTP/1.1 101 ")) {
          fail(new Error(`the relay answered ${status}`));
          return;
        }
        splitter.push(rest);
      }
    });
    socket.on("error", fail);
    socket.once("close", () => {
      clearTimeout(timer);
      fail(new Error("the relay hung up"));
    });
    socket.once(dial.tls === undefined ? "connect" : "secureConnect", () => {
      socket.setNoDelay(true);
      socket.write(upgradeRequest(dial));
      if (dial.fastStartKey !== undefined) {
        introduce(dial.fastStartKey);
      }
    });
  });
}

function upgradeRequest(dial: DerpDial): string {
  const host = dial.host.includes(":") ? `[${dial.host}]` : dial.host;
  return [
    "GET /derp HTTP/1.1",
    `Host: ${host}:${dial.port}`,
    "Upgrade: DERP",
    "Connection: Upgrade",
    ...(dial.fastStartKey === undefined ? [] : ["Derp-Fast-Start: 1"]),
    ...(dial.idealNode === undefined ? [] : [`Ideal-Node: ${dial.idealNode}`]),
    "\r\n",
  ].join("\r\n");
}

function clientInfo(dial: DerpDial): Buffer {
  return Buffer.from(
    JSON.stringify({
      meshKey: dial.meshKey,
      version: protocolVersion,
      CanAckPings: true,
      IsProber: dial.isProber ?? false,
    }),
  );
}

function openServerInfo(payload: Buffer, shared: Uint8Array): ServerInfo | undefined {
  const sealed = parseServerInfo(payload);
  const text = sealed && openBox(sealed.box, sealed.nonce, shared);
  if (text === undefined) {
    return undefined;
  }
  try {
    const value: unknown = JSON.parse(Buffer.from(text).toString("utf8"));
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function deliver(type: number, payload: Buffer, socket: Socket, tell: (event: DerpEvent) => void): void {
  switch (type) {
    case frameType.recvPacket: {
      const packet = parsePacket(payload);
      if (packet !== undefined) {
        tell({ kind: "packet", source: packet.key, packet: packet.packet });
      }
      break;
    }
    case frameType.peerGone: {
      const gone = parsePeerGone(payload);
      if (gone !== undefined) {
        tell({ kind: "peer-gone", ...gone });
      }
      break;
    }
    case frameType.peerPresent: {
      const present = parsePeerPresent(payload);
      if (present !== undefined) {
        tell({ kind: "peer-present", ...present });
      }
      break;
    }
    case frameType.ping: {
      const data = parsePing(payload);
      if (data !== undefined) {
        socket.write(encodePong(data));
      }
      break;
    }
    case frameType.pong: {
      const data = parsePing(payload);
      if (data !== undefined) {
        tell({ kind: "pong", data });
      }
      break;
    }
    case frameType.keepAlive:
      tell({ kind: "keep-alive" });
      break;
    case frameType.health:
      tell({ kind: "health", problem: payload.toString("utf8") });
      break;
    case frameType.restarting: {
      const restarting = parseRestarting(payload);
      if (restarting !== undefined) {
        tell({ kind: "restarting", ...restarting });
      }
      break;
    }
    default:
      break;
  }
}

function clientOn(socket: Socket, serverKey: Uint8Array, info: ServerInfo, closed: Promise<void>): DerpClient {
  return {
    serverKey,
    info,
    socket,
    closed,
    send: (destination, packet) => socket.write(encodeSendPacket(destination, packet)),
    forward: (source, destination, packet) => socket.write(encodeForwardPacket(source, destination, packet)),
    ping: (data) => void socket.write(encodePing(data)),
    notePreferred: (preferred) => void socket.write(encodeNotePreferred(preferred)),
    watchConns: () => void socket.write(encodeWatchConns()),
    closePeer: (key) => void socket.write(encodeClosePeer(key)),
    raw: (type, payload) => void socket.write(encodeFrame(type, payload)),
    close: () => socket.destroy(),
  };
}
