// A simulated node: keys, a Noise connection, registration, the map stream and everything a client does beside it
// (protocol §3–5). It behaves as official clients do where a server could tell; where they retry for ever it leaves
// that to the caller, unless asked to follow the map.
import type { RegisterRequest, RegisterResponse } from "../src/wire/tailcfg.ts";
import type { Hostinfo, MapResponse, NetInfo, PingRequest } from "../src/wire/tailcfg.ts";
import {
  discoKeyText,
  generatePrivateKey,
  machineKeyText,
  nodeKeyText,
  nodeLockKeyText,
  type PrivateKey,
  type RandomBytes,
} from "../src/wire/keys.ts";
import type { DiscoKey, MachineKey, NodeKey } from "../src/wire/ids.ts";
import { answerC2n, type C2nHandler } from "./c2n.ts";
import { ControlConnection, type Reply } from "./control-connection.ts";
import { decodeUncompressed, sharedDecoder, type Decode } from "./map-decode.ts";
import { MapStream, type ReceivedMessage } from "./map-stream.ts";
import { newMeter, type Meter } from "./meter.ts";
import { messageFaults, netmapFaults } from "./strict.ts";
import { NetmapModel } from "./netmap-model.ts";
import { watch } from "./watchdog.ts";

export type { ReceivedMessage } from "./map-stream.ts";

export interface SimOptions {
  /** The control server, http: or https:. */
  readonly url: URL;
  /** Its Noise key, from fetchServerKey: shared by all clients of one server. */
  readonly serverPublic: Uint8Array;
  readonly hostname: string;
  /** Capability version; 142 is client 1.102. */
  readonly version?: number;
  readonly hostinfo?: Partial<Hostinfo>;
  readonly ephemeral?: boolean;
  readonly machineKey?: PrivateKey;
  readonly nodeKey?: PrivateKey;
  readonly random?: RandomBytes;
  readonly webSocket?: boolean;
  readonly localAddress?: string;
  /** As of DialOptions. */
  readonly dialTimeoutMs?: number;
  readonly meter?: Meter;
  readonly decode?: Decode;
  readonly c2n?: C2nHandler;
  /**
   * Look at every message with the eyes of strict.ts: a fault is kept in `faults` and ends the stream, as a malformed
   * value does in official clients.
   */
  readonly strict?: boolean;
}

export interface RegisterOptions {
  readonly authKey?: string;
  /** The AuthURL of an earlier response. */
  readonly followup?: string;
  /** RFC 3339. */
  readonly expiry?: string;
  readonly tags?: readonly string[];
}

export interface MapOptions {
  readonly onMessage?: (received: ReceivedMessage) => void;
  /** The stream ended; undefined when the client ended it. */
  readonly onEnd?: (error: Error | undefined) => void;
  /** Do not decode or apply: only count and time. */
  readonly countOnly?: boolean;
  readonly omitPeers?: boolean;
  /** "" asks for plain JSON. */
  readonly compress?: "zstd" | "";
}

export interface LiteUpdate {
  readonly endpoints?: readonly string[];
  readonly hostinfo?: Partial<Hostinfo>;
  readonly netInfo?: NetInfo;
}

const zeroKey = "0".repeat(64);
/** Retries of the map stream: doubled each time up to the limit, with jitter of half (protocol §4.2). */
const firstRetryMs = 250;
const longestRetryMs = 30_000;

let processDecoder: Decode | undefined;

export class SimClient {
  readonly machineKey: PrivateKey;
  readonly meter: Meter;
  readonly hostname: string;
  readonly version: number;
  nodeKey: PrivateKey;
  discoKey: PrivateKey;
  netmap = new NetmapModel();
  endpoints: readonly string[] = [];
  hostinfo: Hostinfo;
  /** What `strict` has found. */
  readonly faults: string[] = [];
  /** Why the last stream ended, for tests. */
  lastError: Error | undefined;
  readonly #options: SimOptions;
  readonly #random: RandomBytes | undefined;
  readonly #decode: Decode;
  readonly #lockKey: string;
  #oldNodeKey: NodeKey | undefined;
  #connection: Promise<ControlConnection> | undefined;
  #open: ControlConnection | undefined;
  #stream: MapStream | undefined;
  #lastPing = "";
  #isClosed = false;

  constructor(options: SimOptions) {
    this.#options = options;
    this.#random = options.random;
    this.hostname = options.hostname;
    this.version = options.version ?? 142;
    this.meter = options.meter ?? newMeter();
    this.#decode = options.decode ?? (processDecoder ??= sharedDecoder());
    this.machineKey = options.machineKey ?? generatePrivateKey(options.random);
    this.nodeKey = options.nodeKey ?? generatePrivateKey(options.random);
    this.discoKey = generatePrivateKey(options.random);
    this.#lockKey = nodeLockKeyText(generatePrivateKey(options.random).publicRaw);
    this.hostinfo = {
      IPNVersion: "1.102.1-tsim",
      OS: "linux",
      OSVersion: "6.1",
      Distro: "debian",
      GoArch: "amd64",
      Hostname: options.hostname,
      Services: [
        { Proto: "peerapi4", Port: 40_001 },
        { Proto: "peerapi6", Port: 40_001 },
      ],
      ...options.hostinfo,
    };
  }

  get machineKeyText(): MachineKey {
    return machineKeyText(this.machineKey.publicRaw);
  }
  get nodeKeyText(): NodeKey {
    return nodeKeyText(this.nodeKey.publicRaw);
  }
  get discoKeyText(): DiscoKey {
    return discoKeyText(this.discoKey.publicRaw);
  }

  // ---- the connection

  /** The client's one Noise connection, dialled when there is none. */
  connect(): Promise<ControlConnection> {
    if (this.#isClosed) {
      return Promise.reject(new Error("the client is closed"));
    }
    if (this.#open?.isClosed) {
      this.#connection = undefined;
    }
    this.#connection ??= this.#dial();
    return this.#connection;
  }

  async #dial(): Promise<ControlConnection> {
    const { url, serverPublic, webSocket = false, localAddress, dialTimeoutMs } = this.#options;
    try {
      const connection = await ControlConnection.open({
        url,
        serverPublic,
        machineKey: this.machineKey,
        version: this.version,
        meter: this.meter,
        webSocket,
        localAddress,
        ...(dialTimeoutMs === undefined ? {} : { timeoutMs: dialTimeoutMs }),
      });
      this.#open = connection;
      return connection;
    } catch (error) {
      this.#connection = undefined;
      throw error;
    }
  }

  /** Drops the connection, as a network would; a followed map dials anew. */
  disconnect(): void {
    this.#open?.close();
    this.#connection = undefined;
  }

  /** Ends everything. */
  close(): void {
    this.#isClosed = true;
    this.#stream?.cancel();
    this.#stream = undefined;
    this.#open?.close();
  }

  async request(method: string, path: string, body?: unknown): Promise<Reply> {
    const connection = await this.connect();
    return connection.request({
      method,
      path,
      headers: [["content-type", "application/json"]],
      ...(body === undefined ? {} : { body: Buffer.from(JSON.stringify(body)) }),
    });
  }

  // ---- registration

  /** The body of a register request, as a client would send it now. */
  registerBody({ authKey, followup = "", expiry, tags }: RegisterOptions = {}): Readonly<Record<string, unknown>> {
    return {
      Version: this.version,
      NodeKey: this.nodeKeyText,
      OldNodeKey: this.#oldNodeKey ?? `nodekey:${zeroKey}`,
      NLKey: this.#lockKey,
      ...(authKey === undefined ? {} : { Auth: { AuthKey: authKey } }),
      Expiry: expiry ?? "0001-01-01T00:00:00Z",
      Followup: followup,
      Hostinfo: { ...this.hostinfo, ...(tags === undefined ? {} : { RequestTags: tags }) },
      ...(this.#options.ephemeral ? { Ephemeral: true } : {}),
      NodeKeySignature: null,
    } satisfies Partial<Record<keyof RegisterRequest | "Auth" | "Expiry" | "NodeKeySignature", unknown>>;
  }

  /** One register call. Throws on any status but 200. */
  async register(options: RegisterOptions = {}): Promise<RegisterResponse> {
    const { status, body } = await this.request("POST", "/machine/register", this.registerBody(options));
    if (status !== 200) {
      throw new Error(`register request: http ${status}: ${body.toString("utf8", 0, 200)}`);
    }
    return JSON.parse(body.toString("utf8")) as RegisterResponse;
  }

  /** Registers and waits until the server says yes; throws on an error or when a person would have to act. */
  async join(options: RegisterOptions): Promise<RegisterResponse> {
    const response = await this.register(options);
    if (response.Error !== "") {
      throw new Error(response.Error);
    }
    if (response.NodeKeyExpired) {
      this.rotateNodeKey();
      return this.join(options);
    }
    if (response.AuthURL !== "") {
      throw new Error(`a person must visit ${response.AuthURL}`);
    }
    return response;
  }

  /** Takes a fresh node key; the next register names the old one. */
  rotateNodeKey(): void {
    this.#oldNodeKey = this.nodeKeyText;
    this.nodeKey = generatePrivateKey(this.#random);
  }

  /** A new disco key, as every start of a client has one; the next update tells. */
  rotateDiscoKey(): void {
    this.discoKey = generatePrivateKey(this.#random);
  }

  /** Asks the server to expire the node key, in the words of a logout (protocol §3.4). */
  logout(authKey?: string): Promise<RegisterResponse> {
    return this.register({ expiry: "1970-01-01T00:02:03Z", ...(authKey === undefined ? {} : { authKey }) });
  }

  // ---- map

  mapBody(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    return {
      Version: this.version,
      Compress: "zstd",
      KeepAlive: true,
      NodeKey: this.nodeKeyText,
      DiscoKey: this.discoKeyText,
      Hostinfo: this.hostinfo,
      ...fields,
    };
  }

  /** Tells the server where the node is: a request without stream and peers. Absent parts are as before. */
  async update(changes: LiteUpdate = {}): Promise<void> {
    this.endpoints = changes.endpoints ?? this.endpoints;
    this.hostinfo = { ...this.hostinfo, ...changes.hostinfo };
    if (changes.netInfo !== undefined) {
      this.hostinfo = { ...this.hostinfo, NetInfo: changes.netInfo };
    }
    const body = this.mapBody({
      OmitPeers: true,
      Endpoints: this.endpoints,
      EndpointTypes: this.endpoints.map(() => 1),
    });
    const { status, body: answer } = await this.request("POST", "/machine/map", body);
    if (status !== 200) {
      throw new Error(`lite update: http ${status}: ${answer.toString("utf8", 0, 200)}`);
    }
  }

  /** Opens the map stream and resolves with its first netmap; deltas are applied as they come, until it ends. */
  async openMap(options: MapOptions = {}): Promise<NetmapModel> {
    this.#stream?.cancel();
    const connection = await this.connect();
    const netmap = new NetmapModel();
    return new Promise((done, fail) => {
      const stream = new MapStream({
        connection,
        body: this.mapBody({
          Stream: true,
          Compress: options.compress ?? "zstd",
          ...(options.omitPeers ? { OmitPeers: true } : {}),
        }),
        decode: options.compress === "" ? decodeUncompressed : this.#decode,
        meter: this.meter,
        countOnly: options.countOnly ?? false,
        message: (received) => {
          const isFirst = netmap.applied === 0;
          if (!options.countOnly) {
            this.#control(received.message);
            if (!received.message.KeepAlive) {
              netmap.apply(received.message);
            }
            this.#inspect(received.message, netmap);
          }
          options.onMessage?.(received);
          if (isFirst && (netmap.applied > 0 || options.countOnly)) {
            this.netmap = netmap;
            done(netmap);
          }
        },
        ended: (error) => {
          if (this.#stream === stream) {
            this.#stream = undefined;
          }
          this.lastError = error;
          fail(error ?? new Error("the map stream was cancelled"));
          if (netmap.applied > 0 || options.countOnly) {
            options.onEnd?.(error);
          }
        },
      });
      this.#stream = stream;
      stream.start();
    });
  }

  /** Ends the map stream, and leaves the connection. */
  closeMap(): void {
    this.#stream?.cancel();
    this.#stream = undefined;
  }

  /** Keeps a map stream open for good, with the back-off of clients; resolves when the first netmap is there. */
  follow(options: MapOptions = {}): Promise<NetmapModel> {
    let retryMs = firstRetryMs;
    return new Promise((done) => {
      const again = (): void => {
        if (this.#isClosed) {
          return;
        }
        const wait = retryMs * (0.5 + Math.random());
        retryMs = Math.min(longestRetryMs, retryMs * 2);
        watch(wait, () => void run());
      };
      const run = async (): Promise<void> => {
        try {
          const netmap = await this.openMap({
            ...options,
            onEnd: (error) => {
              options.onEnd?.(error);
              again();
            },
          });
          retryMs = firstRetryMs;
          done(netmap);
        } catch {
          again();
        }
      };
      void run();
    });
  }

  #inspect(message: MapResponse, netmap: NetmapModel): void {
    const faults = this.#options.strict ? [...messageFaults(message), ...netmapFaults(netmap)] : [];
    if (faults.length > 0) {
      this.faults.push(...faults);
      throw new Error(`a map message is faulty: ${faults.join("; ")}`);
    }
  }

  // ---- what rides on any message

  #control(message: MapResponse): void {
    const ping = message.PingRequest;
    if (ping && ping.URL !== this.#lastPing) {
      this.#lastPing = ping.URL;
      this.#answer(ping).catch((error: unknown) => {
        this.lastError = error instanceof Error ? error : new Error(String(error));
      });
    }
  }

  /** Answers as clients do (protocol §5.3). */
  async #answer(ping: PingRequest): Promise<void> {
    const url = new URL(ping.URL, this.#options.url);
    const path = url.pathname + url.search;
    switch (ping.Types ?? "") {
      case "":
        if (ping.URLIsNoise) {
          await this.request("HEAD", path);
        } else {
          await fetch(url, { method: "HEAD" });
        }
        return;
      case "c2n": {
        const connection = await this.connect();
        const answer = answerC2n(Buffer.from(ping.Payload ?? "", "base64"), this.#options.c2n);
        await connection.request({ method: "POST", path, body: answer });
        return;
      }
      default:
        for (const type of (ping.Types ?? "").split(",")) {
          await this.request("POST", path, { Type: type, IP: ping.IP, NodeIP: ping.IP, LatencySeconds: 0.001 });
        }
    }
  }
}
