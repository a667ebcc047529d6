// Who is connected, by node key. A key may have several connections: the one that wrote last is the active one and gets
// the packets, the others stay open (protocol §8.4). Remembers who has sent to whom, both ways round, so that whoever
// was written to learns when the writer goes.
import type { NodeKey } from "../wire/ids.ts";
import type { RelayConnection } from "./connection.ts";

/** A node key's raw bytes as a string: a key for maps that is made without hex. */
export type RawKeyText = string & { readonly rawKeyText: true };

export function rawKeyText(buffer: Buffer, at: number): RawKeyText {
  return buffer.toString("latin1", at, at + 32) as RawKeyText;
}

export interface Peer {
  readonly id: RawKeyText;
  readonly nodeKey: NodeKey;
  readonly raw: Buffer;
  /** Least recently writing first; the last one is active. */
  readonly connections: RelayConnection[];
  /** Peers this one has sent packets to, and those that have sent to it. */
  readonly sentTo: Set<Peer>;
  readonly heardFrom: Set<Peer>;
}

export class Peers {
  readonly #peers = new Map<RawKeyText, Peer>();

  get size(): number {
    return this.#peers.size;
  }

  get(id: RawKeyText): Peer | undefined {
    return this.#peers.get(id);
  }

  values(): IterableIterator<Peer> {
    return this.#peers.values();
  }

  /** The peer that a new connection of this key belongs to. */
  enter(raw: Buffer, nodeKey: NodeKey): Peer {
    const id = rawKeyText(raw, 0);
    const known = this.#peers.get(id);
    if (known !== undefined) {
      return known;
    }
    const peer: Peer = { id, nodeKey, raw, connections: [], sentTo: new Set(), heardFrom: new Set() };
    this.#peers.set(id, peer);
    return peer;
  }

  /** Takes a connection away. When it was the peer's last, returns those the peer had sent to and forgets it. */
  leave(peer: Peer, connection: RelayConnection): readonly Peer[] | undefined {
    const at = peer.connections.indexOf(connection);
    if (at >= 0) {
      peer.connections.splice(at, 1);
    }
    if (peer.connections.length > 0 || this.#peers.get(peer.id) !== peer) {
      return undefined;
    }
    this.#peers.delete(peer.id);
    const told = [...peer.sentTo];
    for (const other of told) {
      other.heardFrom.delete(peer);
    }
    for (const other of peer.heardFrom) {
      other.sentTo.delete(peer);
    }
    peer.sentTo.clear();
    peer.heardFrom.clear();
    return told;
  }
}

/** The connection that packets for this peer go to. */
export function activeConnection(peer: Peer): RelayConnection | undefined {
  return peer.connections.at(-1);
}

/** Notes that `connection` is the one that wrote last. */
export function makeActive(peer: Peer, connection: RelayConnection): void {
  const at = peer.connections.indexOf(connection);
  if (at >= 0 && at < peer.connections.length - 1) {
    peer.connections.splice(at, 1);
    peer.connections.push(connection);
  }
}

export function noteSent(from: Peer, to: Peer): void {
  if (!from.sentTo.has(to)) {
    from.sentTo.add(to);
    to.heardFrom.add(from);
  }
}

/** Ends every connection of a peer, each of which takes itself off the list. */
export function closeAll(peer: Peer | undefined): void {
  for (const connection of peer?.connections.slice() ?? []) {
    connection.close();
  }
}
