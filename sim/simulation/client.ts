// A client of the simulation: registers, follows its map, tells of itself, rotates its key, logs out, breaks off and
// comes back; with the delays, retries and patience of a real one.
import type { EdgeReply } from "../../src/control/edge-link.ts";
import type { MapMessage, SessionId } from "../../src/netmap/contract.ts";
import { discoKeyText, machineKeyText, nodeKeyText } from "../../src/wire/keys.ts";
import type { RegisterResponse } from "../../src/wire/tailcfg.ts";
import type { MachineKey, NodeKey } from "../../src/wire/ids.ts";
import { sharedDecoder } from "../map-decode.ts";
import { NetmapModel } from "../netmap-model.ts";
import type { SimulatedEdge } from "./edge.ts";
import type { Random } from "./random.ts";
import type { SimulatedTime } from "./time.ts";

const zeroKey = `nodekey:${"0".repeat(64)}`;
const zeroTime = "0001-01-01T00:00:00Z";

/** Where a client is in its life. `refused`: the server does not know it any more and no key would let it in. */
export type ClientState = "out" | "registering" | "in" | "following" | "gone";

export class SimulatedClient {
  readonly name: string;
  readonly machineKey: MachineKey;
  nodeKey: NodeKey;
  oldNodeKey: string = zeroKey;
  netmap = new NetmapModel();
  state: ClientState = "out";
  session: SessionId | undefined;
  /** Messages read per stream are slow for some. */
  slow = false;
  readonly #edge: SimulatedEdge;
  readonly #time: SimulatedTime;
  readonly #random: Random;
  readonly #authKey: string;
  readonly #decode = sharedDecoder(4 * 1024 * 1024);
  #disco: string;
  #endpoints: readonly string[] = [];
  #routes: readonly string[] = [];
  #hostname: string;
  #wanted = false;
  #failure: Error | undefined;

  constructor(name: string, authKey: string, edge: SimulatedEdge, time: SimulatedTime, random: Random) {
    this.name = name;
    this.#hostname = name;
    this.#authKey = authKey;
    this.#edge = edge;
    this.#time = time;
    this.#random = random;
    this.machineKey = machineKeyText(random.bytes(32));
    this.nodeKey = nodeKeyText(random.bytes(32));
    this.#disco = discoKeyText(random.bytes(32));
  }

  /** What no real client would survive; undefined as long as all went well. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** From now on the client wants to be connected and keeps trying. */
  start(): void {
    if (!this.#wanted) {
      this.#wanted = true;
      void this.#connect();
    }
  }

  /** Breaks off without a word (suspend, network gone). */
  breakOff(): void {
    this.#wanted = false;
    if (this.session !== undefined) {
      this.#edge.cut(this.session);
    }
  }

  async tell(): Promise<void> {
    if (this.state !== "following") {
      return;
    }
    await this.#edge.post(this.machineKey, "/machine/map", this.#mapRequest(false));
  }

  moveEndpoints(): void {
    const count = 1 + this.#random.below(3);
    this.#endpoints = Array.from(
      { length: count },
      () => `192.0.2.${this.#random.below(256)}:${1024 + this.#random.below(60000)}`,
    );
  }

  advertise(): void {
    const all = ["10.1.0.0/24", "10.2.0.0/24", "192.168.0.0/24", "0.0.0.0/0", "::/0"];
    this.#routes = all.filter(() => this.#random.chance(0.3));
  }

  rename(): void {
    this.#hostname = `host-${this.#random.below(5)}`;
  }

  /** A new node key, the old one presented with it. */
  async rotateKey(): Promise<void> {
    if (this.state !== "following") {
      return;
    }
    const before = this.nodeKey;
    this.oldNodeKey = before;
    this.nodeKey = nodeKeyText(this.#random.bytes(32));
    this.#disco = discoKeyText(this.#random.bytes(32));
    const answer = await this.#register(zeroTime);
    if (answer?.Error !== "") {
      // Not heard: the server has either key; the client tries again with the new one.
      return;
    }
    if (this.session !== undefined) {
      this.#edge.cut(this.session);
    }
  }

  async logout(): Promise<void> {
    this.#wanted = false;
    await this.#register("1970-01-01T00:02:03Z");
    this.breakOff();
    this.state = "out";
  }

  async #connect(): Promise<void> {
    let backoff = 200;
    while (this.#wanted && this.state !== "following") {
      this.state = "registering";
      const answer = await this.#register(zeroTime);
      if (answer?.Error === "" && answer.AuthURL === "" && !answer.NodeKeyExpired) {
        this.state = "in";
        if (await this.#follow()) {
          return;
        }
      } else if (answer?.NodeKeyExpired === true) {
        this.oldNodeKey = this.nodeKey;
        this.nodeKey = nodeKeyText(this.#random.bytes(32));
      }
      await this.#time.sleep(this.#random.below(backoff));
      backoff = Math.min(backoff * 2, 5000);
    }
  }

  async #follow(): Promise<boolean> {
    const model = new NetmapModel();
    const session = await this.#edge.stream(
      this.machineKey,
      this.#mapRequest(true),
      {
        message: (message) => this.#take(model, message),
        ended: () => this.#ended(model),
      },
      () => (this.slow ? 200 + this.#random.below(3000) : this.#random.below(30)),
    );
    if (session === undefined) {
      return false;
    }
    this.netmap = model;
    this.session = session;
    this.state = "following";
    void this.tell();
    return true;
  }

  #take(model: NetmapModel, message: MapMessage): void {
    const bytes = Buffer.concat(message.chunks);
    try {
      if (bytes.readUInt32LE(0) !== bytes.length - 4) {
        throw new Error("the length before a message is wrong");
      }
      const response = this.#decode(bytes.subarray(4));
      if (response.KeepAlive !== true) {
        model.apply(response);
      }
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
    }
  }

  #ended(model: NetmapModel): void {
    if (this.netmap !== model) {
      return;
    }
    this.session = undefined;
    if (this.state === "following") {
      this.state = "out";
    }
    if (this.#wanted) {
      this.#time.after(this.#random.below(1000), () => void this.#connect());
    }
  }

  async #register(expiry: string): Promise<RegisterResponse | undefined> {
    const reply = await this.#edge.post(this.machineKey, "/machine/register", {
      Version: 142,
      NodeKey: this.nodeKey,
      OldNodeKey: this.oldNodeKey,
      NLKey: `nlpub:${"0".repeat(64)}`,
      Auth: { AuthKey: this.#authKey },
      Expiry: expiry,
      Followup: "",
      Hostinfo: this.#hostinfo(),
      NodeKeySignature: null,
    });
    return reply?.status === 200 ? parsed(reply) : undefined;
  }

  #mapRequest(stream: boolean): unknown {
    return {
      Version: 142,
      Compress: "zstd",
      KeepAlive: true,
      NodeKey: this.nodeKey,
      DiscoKey: this.#disco,
      Stream: stream,
      OmitPeers: !stream,
      Hostinfo: this.#hostinfo(),
      Endpoints: this.#endpoints,
      EndpointTypes: this.#endpoints.map(() => 1),
    };
  }

  #hostinfo(): unknown {
    return {
      OS: "linux",
      Hostname: this.#hostname,
      BackendLogID: "0",
      RoutableIPs: this.#routes,
      NetInfo: { PreferredDERP: 900 },
      Services: [{ Proto: "peerapi4", Port: 1 }],
    };
  }
}

function parsed(reply: EdgeReply): RegisterResponse {
  return JSON.parse(Buffer.from(reply.body).toString("utf8")) as RegisterResponse;
}
