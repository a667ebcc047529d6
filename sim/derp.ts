// A DERP client (protocol §8.1–8.3, §8.7): upgrade over TCP, TLS (with fast start) or a WebSocket, the boxed greeting,
// then packets between node keys.
import { randomBytes } from "node:crypto";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { WebSocket } from "ws";
import {
  encodeClientInfo,
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
  parseServerInfo,
  parseServerKey,
  protocolVersion,
  type PeerPresent,
} from "../src/wire/derp-frames.ts";
import { FrameSplitter } from "../src/wire/derp-splitter.ts";
import type { NodeKey } from "../src/wire/ids.ts";
import { nodeKeyText, rawKey, type PrivateKey } from "../src/wire/keys.ts";
import { boxNonceLength, boxReady, openBox, sealBox, sharedBoxKey } from "../src/wire/nacl-box.ts";
import { giveUp, watch } from "./watchdog.ts";

export interface DerpOptions {
  /** `http:` or `https:` URL of the relay; its path defaults to /derp. */
  readonly url: URL;
  readonly nodeKey: PrivateKey;
  /** 64 hex digits, for mesh members. */
  readonly meshKey?: string;
  readonly canAckPings?: boolean;
  readonly isProber?: boolean;
  /** The server's key, known before: asks for a fast start (no HTTP answer). */
  readonly fastStart?: boolean;
  readonly webSocket?: boolean;
  readonly localAddress?: string;
  readonly onPacket?: (source: NodeKey, packet: Buffer) => void;
  readonly onPeerGone?: (peer: NodeKey, reason: number) => void;
  readonly onPeerPresent?: (peer: NodeKey, present: PeerPresent) => void;
  readonly onHealth?: (problem: string) => void;
  readonly onRestarting?: () => void;
  readonly onClosed?: (error: Error | undefined) => void;
}

const handshakeMs = 10_000;

/** Where bytes go and how to stop. */
interface Pipe {
  write(bytes: Uint8Array): boolean;
  destroy(): void;
  readonly buffered: () => number;
}

export class DerpClient {
  /** Server's limits as its ServerInfo said. */
  serverInfo: Readonly<Record<string, unknown>> = {};
  serverKey: Buffer | undefined;
  packetsIn = 0;
  packetsOut = 0;
  bytesIn = 0;
  keepAlives = 0;
  readonly #options: DerpOptions;
  readonly #splitter: FrameSplitter;
  readonly #pongs = new Map<string, () => void>();
  #pipe: Pipe | undefined;
  #head: Buffer | undefined;
  #ready: (() => void) | undefined;
  #failed: ((error: Error) => void) | undefined;
  #isClosed = false;

  private constructor(options: DerpOptions) {
    this.#options = options;
    this.#head = options.fastStart || options.webSocket ? undefined : Buffer.alloc(0);
    this.#splitter = new FrameSplitter({
      accept: (_type, length) => (length <= maxFrameToClient ? "take" : "refuse"),
      frame: (type, buffer, start, end) => this.#frame(type, buffer.subarray(start + headerLength, end)),
      flush: () => {},
    });
  }

  /** Connects and greets; resolves when the server has admitted the client. */
  static async connect(options: DerpOptions): Promise<DerpClient> {
    await boxReady;
    const client = new DerpClient(options);
    await client.#start();
    return client;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Bytes given to the socket that it has not taken. */
  get unsent(): number {
    return this.#pipe?.buffered() ?? 0;
  }

  /** False when the socket's buffer is full. */
  send(destination: NodeKey, packet: Uint8Array): boolean {
    this.packetsOut++;
    return this.#pipe?.write(encodeSendPacket(rawKey(destination), packet)) ?? false;
  }

  /** Any frame, for tests of what a server makes of it. */
  sendFrame(type: number, payload: Uint8Array): void {
    this.#pipe?.write(encodeFrame(type, payload));
  }

  writeRaw(bytes: Uint8Array): void {
    this.#pipe?.write(bytes);
  }

  notePreferred(preferred: boolean): void {
    this.#pipe?.write(encodeNotePreferred(preferred));
  }

  watchConnections(): void {
    this.#pipe?.write(encodeWatchConns());
  }

  /** Resolves when the pong has come. */
  ping(): Promise<void> {
    const data = randomBytes(8);
    return new Promise((done) => {
      this.#pongs.set(data.toString("hex"), done);
      this.#pipe?.write(encodePing(data));
    });
  }

  close(): void {
    this.#ended(undefined);
  }

  #start(): Promise<void> {
    return new Promise((done, fail) => {
      const timeout = watch(handshakeMs, () => this.#ended(new Error("the relay did not greet in time")));
      this.#ready = () => {
        giveUp(timeout);
        this.#ready = this.#failed = undefined;
        done();
      };
      this.#failed = (error) => {
        giveUp(timeout);
        this.#ready = this.#failed = undefined;
        fail(error);
      };
      if (this.#options.webSocket) {
        this.#openWebSocket();
      } else {
        this.#openSocket();
      }
    });
  }

  #openSocket(): void {
    const { url, fastStart = false, localAddress } = this.#options;
    const isTls = url.protocol === "https:";
    const target = {
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: url.port === "" ? (isTls ? 443 : 80) : Number(url.port),
      ...(localAddress === undefined ? {} : { localAddress }),
    };
    const socket: Socket = isTls ? connectTls({ ...target, rejectUnauthorized: false }) : connectTcp(target);
    socket.setNoDelay(true);
    this.#pipe = {
      write: (bytes) => socket.write(bytes),
      destroy: () => void socket.destroy(),
      buffered: () => socket.writableLength,
    };
    let problem: Error | undefined;
    socket.on("error", (error) => (problem = error));
    socket.on("close", () => this.#ended(problem ?? new Error("the relay closed the connection")));
    socket.on("data", (bytes: Buffer) => this.#received(bytes));
    socket.on("end", () => socket.destroy());
    const path = url.pathname === "/" ? "/derp" : url.pathname;
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: ${url.host}\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n` +
        `${fastStart ? "Derp-Fast-Start: 1\r\n" : ""}\r\n`,
    );
  }

  #openWebSocket(): void {
    const target = new URL(this.#options.url);
    target.protocol = target.protocol === "https:" ? "wss:" : "ws:";
    target.pathname = target.pathname === "/" ? "/derp" : target.pathname;
    const socket = new WebSocket(target, "derp", { perMessageDeflate: false, rejectUnauthorized: false });
    socket.binaryType = "nodebuffer";
    this.#pipe = {
      write: (bytes) => {
        socket.send(bytes);
        return true;
      },
      destroy: () => socket.terminate(),
      buffered: () => socket.bufferedAmount,
    };
    let problem: Error | undefined;
    socket.on("error", (error) => (problem = error));
    socket.on("close", () => this.#ended(problem ?? new Error("the relay closed the connection")));
    socket.on("message", (bytes: Buffer) => this.#received(bytes));
  }

  #received(bytes: Buffer): void {
    this.bytesIn += bytes.length;
    const rest = this.#head === undefined ? bytes : this.#passHead(Buffer.concat([this.#head, bytes]));
    if (rest.length > 0 && !this.#splitter.push(rest)) {
      this.#ended(new Error("the relay sent a frame above a mebibyte"));
    }
  }

  /** Reads the 101; returns what stands behind it. */
  #passHead(head: Buffer): Buffer {
    const end = head.indexOf("\r\n\r\n");
    if (end === -1) {
      this.#head = head;
      return Buffer.alloc(0);
    }
    this.#head = undefined;
    const text = head.toString("latin1", 0, end);
    if (!text.startsWith("HTTP/1.1 101 ")) {
      this.#ended(new Error(`the relay refused: ${text.split("\r\n")[0] ?? ""}`));
      return Buffer.alloc(0);
    }
    return head.subarray(end + 4);
  }

  #frame(type: number, payload: Buffer): void {
    const options = this.#options;
    switch (type) {
      case frameType.serverKey:
        this.#greet(parseServerKey(payload));
        break;
      case frameType.serverInfo:
        this.#admitted(payload);
        break;
      case frameType.recvPacket: {
        const packet = parsePacket(payload);
        if (packet !== undefined) {
          this.packetsIn++;
          options.onPacket?.(nodeKeyText(packet.key), packet.packet);
        }
        break;
      }
      case frameType.keepAlive:
        this.keepAlives++;
        break;
      case frameType.peerGone: {
        const gone = parsePeerGone(payload);
        if (gone !== undefined) {
          options.onPeerGone?.(nodeKeyText(gone.key), gone.reason);
        }
        break;
      }
      case frameType.peerPresent: {
        const present = parsePeerPresent(payload);
        if (present !== undefined) {
          options.onPeerPresent?.(nodeKeyText(present.key), present);
        }
        break;
      }
      case frameType.ping:
        if (options.canAckPings !== false) {
          this.#pipe?.write(encodePong(payload.subarray(0, 8)));
        }
        break;
      case frameType.pong: {
        const key = payload.toString("hex", 0, 8);
        this.#pongs.get(key)?.();
        this.#pongs.delete(key);
        break;
      }
      case frameType.health:
        options.onHealth?.(payload.toString("utf8"));
        break;
      case frameType.restarting:
        options.onRestarting?.();
        break;
      default: // Unknown types are discarded.
    }
  }

  #greet(serverKey: Buffer | undefined): void {
    const { nodeKey, meshKey, canAckPings = true, isProber = false } = this.#options;
    const shared = serverKey === undefined ? undefined : sharedBoxKey(serverKey, nodeKey);
    if (serverKey === undefined || shared === undefined) {
      this.#ended(new Error("the relay's key is not one"));
      return;
    }
    this.serverKey = Buffer.from(serverKey);
    const info = {
      ...(meshKey === undefined ? {} : { meshKey }),
      version: protocolVersion,
      CanAckPings: canAckPings,
      IsProber: isProber,
    };
    const nonce = randomBytes(boxNonceLength);
    const box = sealBox(Buffer.from(JSON.stringify(info)), nonce, shared);
    this.#pipe?.write(encodeClientInfo(nodeKey.publicRaw, nonce, box));
  }

  #admitted(payload: Buffer): void {
    const info = parseServerInfo(payload);
    const shared = this.serverKey === undefined ? undefined : sharedBoxKey(this.serverKey, this.#options.nodeKey);
    const opened = info === undefined || shared === undefined ? undefined : openBox(info.box, info.nonce, shared);
    if (opened === undefined) {
      this.#ended(new Error("the relay's greeting does not open"));
      return;
    }
    this.serverInfo = JSON.parse(Buffer.from(opened).toString("utf8")) as Record<string, unknown>;
    this.#ready?.();
  }

  #ended(error: Error | undefined): void {
    if (this.#isClosed) {
      return;
    }
    this.#isClosed = true;
    this.#pipe?.destroy();
    this.#failed?.(error ?? new Error("closed"));
    this.#options.onClosed?.(error);
  }
}
