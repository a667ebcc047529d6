// What the relay counts. One plain object of numbers, read by metrics as it is; nothing is ever reset.

/** Why a packet was not relayed. */
export type DropReason = "unknown-destination" | "queue-full" | "gone" | "slow-control" | "bad-frame";

/** Why a connection was refused or ended by this side. */
export type RefusalReason =
  | "not-admitted"
  | "bad-handshake"
  | "handshake-timeout"
  | "too-many"
  | "protocol"
  | "stalled";

export interface RelayCounters {
  packetsIn: number;
  packetsOut: number;
  bytesIn: number;
  bytesOut: number;
  /** Frames written to a socket in one piece with the next, as runs: packetsOut / runs says how well runs form. */
  runs: number;
  discoPackets: number;
  /** Connections past their handshake, now and in all. */
  connections: number;
  accepted: number;
  /** Different node keys connected now. */
  clients: number;
  /** Connections whose last NotePreferred called this relay their home. */
  homeClients: number;
  watchers: number;
  forwarded: number;
  peerGoneDisconnected: number;
  peerGoneNotHere: number;
  pings: number;
  unknownFrames: number;
  rateLimited: number;
  readonly dropped: Record<DropReason, number>;
  readonly refused: Record<RefusalReason, number>;
  stunRequests: number;
  stunOther: number;
  stunSendErrors: number;
  verifyAllowed: number;
  verifyDenied: number;
  verifyRefused: number;
}

export function createRelayCounters(): RelayCounters {
  return {
    packetsIn: 0,
    packetsOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    runs: 0,
    discoPackets: 0,
    connections: 0,
    accepted: 0,
    clients: 0,
    homeClients: 0,
    watchers: 0,
    forwarded: 0,
    peerGoneDisconnected: 0,
    peerGoneNotHere: 0,
    pings: 0,
    unknownFrames: 0,
    rateLimited: 0,
    dropped: { "unknown-destination": 0, "queue-full": 0, gone: 0, "slow-control": 0, "bad-frame": 0 },
    refused: {
      "not-admitted": 0,
      "bad-handshake": 0,
      "handshake-timeout": 0,
      "too-many": 0,
      protocol: 0,
      stalled: 0,
    },
    stunRequests: 0,
    stunOther: 0,
    stunSendErrors: 0,
    verifyAllowed: 0,
    verifyDenied: 0,
    verifyRefused: 0,
  };
}
