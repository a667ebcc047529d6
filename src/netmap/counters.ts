// The work that netmap did, counted: metrics show these numbers and tests assert on them.

export interface NetmapCounters {
  /** Peers turned into JSON, whole or as a patch. Cached ones are not counted again. */
  encodes: number;
  /** Runs of the compressor. */
  compressions: number;
  /** Full maps sent. */
  fullMaps: number;
  /** Blocks of peers compressed for full maps. */
  blocks: number;
  /** Delta messages sent, one for each session that got one. */
  deltas: number;
  /** Different delta messages. */
  distinctDeltas: number;
  /** Messages about the node itself, its filter, DNS and the like; one for each session that got one. */
  selfUpdates: number;
  /** Changes that joined one that was waiting to be sent. */
  merges: number;
  /** Rounds of telling the sessions what changed. */
  flushes: number;
  /** Sessions brought up to date outside a round: just opened, or drained. */
  catchUps: number;
  /** Sessions that had fallen behind the horizon and started over. */
  restarts: number;
  keepAlives: number;
  /** All messages handed to the edge, and their bytes, one for each session. */
  messages: number;
  bytes: number;
}

export function newCounters(): NetmapCounters {
  return {
    encodes: 0,
    compressions: 0,
    fullMaps: 0,
    blocks: 0,
    deltas: 0,
    distinctDeltas: 0,
    selfUpdates: 0,
    merges: 0,
    flushes: 0,
    catchUps: 0,
    restarts: 0,
    keepAlives: 0,
    messages: 0,
    bytes: 0,
  };
}
