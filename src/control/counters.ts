// What this room counts. Plain numbers, so that counting costs nothing; ops/ turns them into metrics.
import { createLatency, type Latency } from "./latency.ts";

export interface ControlCounters {
  connectionsOpened: number;
  connectionsOpen: number;
  /** Handshakes that failed, and connections on which no request followed. */
  handshakesFailed: number;
  /** Clients that waited for a handshake and were sent away: for too long, or too many did. */
  handshakesTurnedAway: number;
  /** Clients that gave up while they waited for a handshake. */
  handshakesAbandoned: number;
  requests: number;
  /** Requests that were answered with a refusal, by HTTP status or in a register response. */
  requestsRefused: number;
  registrations: number;
  registrationsRefused: number;
  streamsOpened: number;
  streamsOpen: number;
  streamsBlocked: number;
  /** Streams cut because their client did not read. */
  streamsCut: number;
  messagesDelivered: number;
  bytesDelivered: number;
  /** From a change's acceptance to its bytes handed to the system, for each session whose socket took them at once. */
  readonly propagation: Latency;
  probesSent: number;
  probesFailed: number;
}

export function createControlCounters(): ControlCounters {
  return {
    connectionsOpened: 0,
    connectionsOpen: 0,
    handshakesFailed: 0,
    handshakesTurnedAway: 0,
    handshakesAbandoned: 0,
    requests: 0,
    requestsRefused: 0,
    registrations: 0,
    registrationsRefused: 0,
    streamsOpened: 0,
    streamsOpen: 0,
    streamsBlocked: 0,
    streamsCut: 0,
    messagesDelivered: 0,
    bytesDelivered: 0,
    propagation: createLatency(),
    probesSent: 0,
    probesFailed: 0,
  };
}
