// A DERP relay (protocol §8) on top of HTTP listeners that others own: it takes over their upgrade requests. One shared
// timer looks after all connections. Admission fails closed; nothing here looks into packets, apart from the disco test.
import type { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import {
  encodeHealth,
  encodePeerGone,
  encodePeerPresent,
  encodeRestarting,
  peerGoneReason,
  peerPresentFlag,
} from "../wire/derp-frames.ts";
import type { NodeKey } from "../wire/ids.ts";
import { rawKey, type PrivateKey } from "../wire/keys.ts";
import { systemClock, type RelayClock } from "./clock.ts";
import { RelayConnection, type ConnectionHouse, type Visitor } from "./connection.ts";
import { createRelayCounters, type RefusalReason, type RelayCounters } from "./counters.ts";
import { shakeHands, type Admitted, type HandshakeHouse } from "./handshake.ts";
import { defaultRelayLimits, type RelayLimits } from "./limits.ts";
import { silentLog, type RelayLog } from "./log.ts";
import { activeConnection, closeAll, Peers, rawKeyText, type Peer } from "./peers.ts";
import { addressBytes16, canonicalAddress, isLoopback, placeOf } from "./source-address.ts";
import { openEntrance, refuse, type Entrance } from "./upgrade.ts";

export interface DerpServerOptions {
  readonly privateKey: PrivateKey;
  /** May this node use the relay? Throwing, or not answering within admitMs, is no. */
  readonly admit: (nodeKey: NodeKey, sourceIp: string) => boolean | Promise<boolean>;
  /** 32 bytes shared by the relays of one region. */
  readonly meshKey?: Uint8Array;
  readonly limits?: Partial<RelayLimits>;
  readonly clock?: RelayClock;
  readonly counters?: RelayCounters;
  /** The client's address when a trusted proxy stands in front; by default the socket's. */
  readonly sourceIp?: (req: IncomingMessage, socket: Duplex) => string;
  readonly log?: RelayLog;
  /** Uniform in [0, 1); jitters keep-alives. */
  readonly random?: () => number;
}

export interface CloseOptions {
  /** Tell clients that the relay restarts, and let written packets go out. */
  readonly graceful: boolean;
  readonly reconnectInMs?: number;
  readonly tryForMs?: number;
}

export interface DerpServer {
  readonly publicKey: Uint8Array;
  readonly publicKeyHex: string;
  readonly counters: RelayCounters;
  /** Takes over an upgrade request for /derp, from a plain or a TLS listener. */
  handleUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void;
  stats(): { readonly clients: number; readonly connections: number; readonly handshaking: number };
  isConnected(nodeKey: NodeKey): boolean;
  /** Ends all connections of a node, as when it is deleted. */
  disconnect(nodeKey: NodeKey): void;
  /** Tells all clients of a problem of this relay; "" says it is over. */
  setHealth(problem: string): void;
  close(options: CloseOptions): Promise<void>;
}

const tickMs = 1000;
/** How long a graceful close waits for written bytes to go out, ms. */
const lingerMs = 1000;

export function createDerpServer(options: DerpServerOptions): DerpServer {
  const limits: RelayLimits = { ...defaultRelayLimits, ...options.limits };
  const clock = options.clock ?? systemClock;
  const counters = options.counters ?? createRelayCounters();
  const log = options.log ?? silentLog;
  const random = options.random ?? Math.random;
  const publicKeyHex = Buffer.from(options.privateKey.publicRaw).toString("hex");
  const handshakeHouse: HandshakeHouse = {
    privateKey: options.privateKey,
    meshKey: options.meshKey,
    limits,
    clock,
    admit: options.admit,
  };

  const peers = new Peers();
  const connections = new Set<RelayConnection>();
  const watchers = new Set<RelayConnection>();
  const handshaking = new Set<Duplex>();
  const perIp = { handshakes: new Map<string, number>(), connections: new Map<string, number>() };
  let health = "";
  let closing = false;

  const stopTicking = clock.every(tickMs, () => {
    const now = clock.now();
    for (const connection of connections) {
      connection.tick(now);
    }
  });

  const house: ConnectionHouse = { peers, limits, counters, clock, random, watch, left };

  function handleUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void {
    // A socket without an 'error' listener would end the process when its peer resets.
    socket.on("error", () => socket.destroy());
    const sourceIp = canonicalAddress(options.sourceIp?.(req, socket) ?? addressOf(socket));
    const reason = closing ? "too-many" : fullFor(sourceIp);
    if (reason !== undefined) {
      counters.refused[reason]++;
      refuse(socket, 503, "Service Unavailable", "the relay takes no further connections now");
      return;
    }
    openEntrance(req, socket, head, publicKeyHex, (entrance) => {
      const sourcePort = (socket instanceof Socket ? socket.remotePort : undefined) ?? 0;
      const notIdeal = req.headers["ideal-node"] !== undefined;
      void receive(entrance, { sourceIp, sourcePort, notIdeal });
    });
  }

  function fullFor(sourceIp: string): RefusalReason | undefined {
    const place = placeOf(sourceIp);
    const full =
      connections.size >= limits.connections ||
      handshaking.size >= limits.handshakes ||
      (perIp.handshakes.get(place) ?? 0) >= limits.handshakesPerIp ||
      (perIp.connections.get(place) ?? 0) >= limits.connectionsPerIp;
    return full ? "too-many" : undefined;
  }

  async function receive(
    { stream, head, preamble }: Entrance,
    from: Pick<Visitor, "sourceIp" | "sourcePort" | "notIdeal">,
  ): Promise<void> {
    stream.on("error", () => stream.destroy());
    handshaking.add(stream);
    count(perIp.handshakes, from.sourceIp, 1);
    try {
      const outcome = await shakeHands(stream, head, preamble, from.sourceIp, handshakeHouse);
      if (typeof outcome === "string") {
        counters.refused[outcome]++;
        log("info", "relay connection refused", { reason: outcome, source: from.sourceIp });
        stream.destroy();
      } else if (stream.destroyed || closing) {
        stream.destroy();
      } else {
        enter(stream, outcome, from);
      }
    } catch (error) {
      log("warn", "relay handshake failed", { error: String(error) });
      stream.destroy();
    } finally {
      handshaking.delete(stream);
      count(perIp.handshakes, from.sourceIp, -1);
    }
  }

  function enter(
    stream: Duplex,
    admitted: Admitted,
    from: Pick<Visitor, "sourceIp" | "sourcePort" | "notIdeal">,
  ): void {
    const peer = peers.enter(admitted.raw, admitted.nodeKey);
    const visitor: Visitor = { ...from, peer, mesh: admitted.mesh, prober: admitted.prober };
    const connection = new RelayConnection(stream, visitor, house);
    connections.add(connection);
    count(perIp.connections, from.sourceIp, 1);
    counters.accepted++;
    counters.connections = connections.size;
    peer.connections.push(connection);
    counters.clients = peers.size;
    announce(presence(connection));
    if (peer.connections.length > limits.connectionsPerKey) {
      peer.connections[0]?.close("too-many");
    }
    if (health !== "") {
      connection.outlet.control(encodeHealth(health));
    }
    connection.start(admitted.rest);
  }

  function left(connection: RelayConnection): void {
    const { peer, sourceIp } = connection.visitor;
    connections.delete(connection);
    watchers.delete(connection);
    count(perIp.connections, sourceIp, -1);
    counters.connections = connections.size;
    counters.watchers = watchers.size;
    const told = peers.leave(peer, connection);
    counters.clients = peers.size;
    if (told !== undefined) {
      for (const other of told) {
        activeConnection(other)?.peerGone(peer.raw, peerGoneReason.disconnected);
      }
      announce(encodePeerGone(peer.raw, peerGoneReason.disconnected));
    }
  }

  /** A mesh peer is told of everybody who is here, then of every change. */
  function watch(connection: RelayConnection): void {
    watchers.add(connection);
    counters.watchers = watchers.size;
    for (const peer of peers.values()) {
      const active = activeConnection(peer);
      if (active !== undefined) {
        tell(connection, presence(active));
      }
    }
  }

  function announce(frame: Buffer): void {
    for (const watcher of watchers) {
      tell(watcher, frame);
    }
  }

  /** A watcher that misses a change would route wrongly for ever: rather it starts over. */
  function tell(watcher: RelayConnection, frame: Buffer): void {
    if (!watcher.outlet.control(frame, limits.meshBytes)) {
      watcher.close("stalled");
    }
  }

  function count(map: Map<string, number>, sourceIp: string, by: 1 | -1): void {
    if (isLoopback(sourceIp)) {
      return;
    }
    const place = placeOf(sourceIp);
    const next = (map.get(place) ?? 0) + by;
    if (next > 0) {
      map.set(place, next);
    } else {
      map.delete(place);
    }
  }

  function peerOf(nodeKey: NodeKey): Peer | undefined {
    return peers.get(rawKeyText(Buffer.from(rawKey(nodeKey)), 0));
  }

  async function close({ graceful, reconnectInMs = 1000, tryForMs = 60_000 }: CloseOptions): Promise<void> {
    closing = true;
    stopTicking();
    for (const stream of handshaking) {
      stream.destroy();
    }
    if (graceful && connections.size > 0) {
      const frame = encodeRestarting(reconnectInMs, tryForMs);
      for (const connection of connections) {
        connection.outlet.control(frame);
        connection.finish();
      }
      await Promise.race([allLeft(), new Promise<void>((done) => clock.after(lingerMs, done))]);
    }
    for (const connection of connections) {
      connection.close();
    }
  }

  function allLeft(): Promise<void> {
    return new Promise((done) => {
      const cancel = clock.every(20, () => {
        if (connections.size === 0) {
          cancel();
          done();
        }
      });
    });
  }

  return {
    publicKey: options.privateKey.publicRaw,
    publicKeyHex,
    counters,
    handleUpgrade,
    stats: () => ({ clients: peers.size, connections: connections.size, handshaking: handshaking.size }),
    isConnected: (nodeKey) => peerOf(nodeKey) !== undefined,
    disconnect(nodeKey) {
      closeAll(peerOf(nodeKey));
    },
    setHealth(problem) {
      health = problem;
      for (const connection of connections) {
        connection.outlet.control(encodeHealth(problem));
      }
    },
    close,
  };
}

function addressOf(socket: Duplex): string {
  return (socket instanceof Socket ? socket.remoteAddress : undefined) ?? "";
}

function presence({ visitor }: RelayConnection): Buffer {
  const flags =
    (visitor.mesh ? peerPresentFlag.meshPeer : visitor.prober ? peerPresentFlag.prober : peerPresentFlag.regular) |
    (visitor.notIdeal ? peerPresentFlag.notIdeal : 0);
  return encodePeerPresent(visitor.peer.raw, addressBytes16(visitor.sourceIp), visitor.sourcePort, flags);
}
