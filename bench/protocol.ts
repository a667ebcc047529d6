// What the bench asks of its processes full of simulated clients, and what they answer. One request at a time.
import type { Meter } from "../sim/meter.ts";

export type SimCommand =
  | {
      readonly kind: "init";
      readonly url: string;
      readonly serverKeyHex: string;
      readonly authKey: string;
      readonly count: number;
      /** Number of the first client; names and addresses follow from it. */
      readonly first: number;
    }
  /** Registers all, `concurrency` at a time. */
  | { readonly kind: "register"; readonly concurrency: number }
  /** Opens all maps and waits until each has `peers` peers, all of them online. */
  | { readonly kind: "connect"; readonly concurrency: number; readonly peers: number }
  /** One client tells a new endpoint; answers when the server has acknowledged. */
  | { readonly kind: "move"; readonly client: number; readonly endpoint: string }
  /** From now on every client that has this peer is watched for getting this endpoint for it … */
  | { readonly kind: "expect-endpoint"; readonly node: number; readonly endpoint: string }
  /** … and this waits until all have it. */
  | { readonly kind: "await-endpoint" }
  /** Waits until no message has come for so long. */
  | { readonly kind: "await-quiet"; readonly ms: number }
  /** Drops every connection at once and connects anew, all at the same time; compares the maps before and after. */
  | { readonly kind: "reconnect"; readonly peers: number }
  | { readonly kind: "stats" };

export interface SimAnswer {
  /** Milliseconds since 1970, fractional: when it was done. */
  readonly at: number;
  /** Milliseconds since 1970: when the last client had what was waited for, by its own receipt. */
  readonly last?: number;
  readonly nodeIds?: readonly number[];
  readonly meter?: Meter;
  /** Differences found by a comparison, the first few as text. */
  readonly differences?: number;
  readonly samples?: readonly string[];
  /** Peers compared. */
  readonly compared?: number;
  readonly error?: string;
}

/** The clock all processes of this machine share. */
export function wallClock(): number {
  return performance.timeOrigin + performance.now();
}
