// The relay's bounds, in one place. Reference values are those of protocol §8.4; the others are ours.

export interface RelayLimits {
  /** From the upgrade to the ServerInfo, ms. */
  readonly handshakeMs: number;
  /** Payload of ClientInfo, bytes. Some 150 are used; the peer is a stranger when it is read. */
  readonly clientInfoBytes: number;
  /** How long admission may take, ms; later is a refusal. */
  readonly admitMs: number;
  readonly keepAliveMs: number;
  /** Added to keepAliveMs, uniformly, per connection and turn. */
  readonly keepAliveJitterMs: number;
  /** A connection that takes nothing of what is written to it for this long is closed, ms. */
  readonly writeStallMs: number;
  readonly meshWriteStallMs: number;
  /**
   * Below this many bytes written and not yet taken by the system, packets go straight to the socket. As long as nothing
   * has waited there for burstMs it may be burstBytes: TLS takes only once per turn of the event loop what may arrive in
   * dozens of chunks, and a fast reader must not lose packets over that. For a slow one, what may wait stays short.
   */
  readonly directBytes: number;
  readonly burstBytes: number;
  readonly burstMs: number;
  /** Each of the two queues of a connection: packets, and bytes. */
  readonly queuePackets: number;
  readonly queueBytes: number;
  /** Control frames (pong, peer gone) are dropped above this; a mesh watcher is closed above meshBytes. */
  readonly controlBytes: number;
  readonly meshBytes: number;
  readonly connections: number;
  /** Per source address, or the /64 of an IPv6 address; loopback (a proxy on this host) is not counted. */
  readonly connectionsPerIp: number;
  readonly handshakes: number;
  readonly handshakesPerIp: number;
  /** Connections with one node key; the one longest silent gives way. */
  readonly connectionsPerKey: number;
  /** PeerGone(NotHere) to one connection. */
  readonly notHerePerSecond: number;
  readonly notHereBurst: number;
  /** What one client may send, bytes per second; 0 is without limit. The burst is never below one largest frame. */
  readonly clientBytesPerSecond: number;
  readonly clientBytesBurst: number;
}

export const defaultRelayLimits: RelayLimits = {
  handshakeMs: 10_000,
  clientInfoBytes: 16 * 1024,
  admitMs: 5_000,
  keepAliveMs: 60_000,
  keepAliveJitterMs: 5_000,
  writeStallMs: 2_000,
  meshWriteStallMs: 30_000,
  directBytes: 128 * 1024,
  burstBytes: 2 * 1024 * 1024,
  burstMs: 25,
  queuePackets: 32,
  queueBytes: 256 * 1024,
  controlBytes: 1024 * 1024,
  meshBytes: 16 * 1024 * 1024,
  connections: 50_000,
  connectionsPerIp: 4_096,
  handshakes: 4_096,
  handshakesPerIp: 512,
  connectionsPerKey: 16,
  notHerePerSecond: 1,
  notHereBurst: 3,
  clientBytesPerSecond: 0,
  clientBytesBurst: 65536 + 32,
};
