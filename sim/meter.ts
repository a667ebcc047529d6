// What a simulated client counts. One meter may be shared by any number of clients.

export interface Meter {
  /** Bytes of the socket, handshakes included, TLS not. */
  bytesIn: number;
  bytesOut: number;
  connections: number;
  /** Map messages, keep-alives included, and their bytes as framed (compressed). */
  messages: number;
  messageBytes: number;
  keepAlives: number;
  /** Messages that cost the client a rebuild of its whole netmap (protocol §4.5, clients from 1.100 on). */
  fullRebuilds: number;
  /** Streams that ended without the client's doing. */
  streamsLost: number;
}

export function newMeter(): Meter {
  return {
    bytesIn: 0,
    bytesOut: 0,
    connections: 0,
    messages: 0,
    messageBytes: 0,
    keepAlives: 0,
    fullRebuilds: 0,
    streamsLost: 0,
  };
}
