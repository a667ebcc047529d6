// Netmap's two neighbours: the edge that holds the sockets, and whoever opens and closes map streams.
// Everything is a message: bytes are shared between sessions and never modified after delivery.
import type { NodeId } from "../wire/ids.ts";
import type { PingRequest } from "../wire/tailcfg.ts";

/** One open map stream; unique for the life of the server. */
export type SessionId = number & { readonly __session?: never };

/** One framed map message: u32 LE length and body (zstd frames or raw JSON), in chunks that other messages may share. */
export interface MapMessage {
  readonly chunks: readonly Uint8Array[];
  /** Sum of the chunks' lengths. */
  readonly length: number;
}

/** The side that seals and writes. Inline or on another thread; calls are ordered per session. */
export interface MapEdge {
  /**
   * `acceptedAt`: when the oldest change that the message tells of was accepted, ms since 1970; undefined where it tells
   * no news (full maps, catch-ups of one session, signs of life).
   */
  deliver(message: MapMessage, sessions: readonly SessionId[], acceptedAt?: number): void;
  /** Ends the stream after what was delivered has been written. */
  end(session: SessionId): void;
}

export interface MapStreamOptions {
  readonly node: NodeId;
  readonly capVersion: number;
  readonly compress: "zstd" | "";
  readonly omitPeers: boolean;
}

/** The netmap engine as control uses it. */
export interface MapSessions {
  /** The full map goes out first; deltas follow. The caller has already told the tailnet of the session. */
  open(session: SessionId, options: MapStreamOptions): void;
  close(session: SessionId): void;
  /** The edge holds more for the session than its bound: its cursor stays where it is … */
  blocked(session: SessionId): void;
  /** … until it has drained; then one merged catch-up follows. */
  drained(session: SessionId): void;
  /** Sends a ping with the next message, at once. */
  ping(node: NodeId, ping: PingRequest): void;
  /** One framed response for a non-streaming map request. */
  once(options: MapStreamOptions): MapMessage;
  /** Keep-alives and merged work that waits for the clock; call several times a second. */
  tick(): void;
}
