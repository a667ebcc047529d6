// What the bench asks of its processes full of simulated clients, and what they answer. One request at a time.
import type { Meter } from "../sim/meter.ts";
import type { Arrival } from "./arrivals.ts";

/** Who sees whom: groups of equal size whose members see each other, and perhaps one hub that sees and is seen by all. */
export interface Layout {
  readonly nodes: number;
  readonly group: number;
  /** The last node is the hub. */
  readonly hub: boolean;
}

/** How many peers the node with this number has. */
export function peersOf(number: number, { nodes, group, hub }: Layout): number {
  const members = hub ? nodes - 1 : nodes;
  if (number === members) {
    return members;
  }
  const first = Math.floor(number / group) * group;
  return Math.min(group, members - first) - 1 + (hub ? 1 : 0);
}

/** Which key the node with this number registers with: one a group, and the hub's last. */
export function keyOf(number: number, { nodes, group, hub }: Layout): number {
  return hub && number === nodes - 1 ? Math.ceil((nodes - 1) / group) : Math.floor(number / group);
}

export type SimCommand =
  | {
      readonly kind: "init";
      readonly url: string;
      readonly serverKeyHex: string;
      readonly authKeys: readonly string[];
      readonly layout: Layout;
      readonly count: number;
      /** Number of the first client; names and addresses follow from it. */
      readonly first: number;
    }
  /** Registers all, `concurrency` at a time. */
  | { readonly kind: "register"; readonly concurrency: number }
  /** Opens all maps and waits until each has all its peers, all of them online. */
  | { readonly kind: "connect"; readonly concurrency: number }
  /** One client tells a new endpoint; answers when the server has acknowledged. */
  | {
      readonly kind: "move";
      readonly client: number;
      readonly endpoint: string;
      /** Endpoints after it. */
      readonly further: readonly string[];
    }
  /** From now on every client that has this peer is watched for getting this endpoint for it … */
  | { readonly kind: "expect-endpoint"; readonly node: number; readonly endpoint: string }
  /** … and this waits until all have it. */
  | { readonly kind: "await-endpoint" }
  /** Each of these clients tells an endpoint at `watchedAddress` at its time; answers when all are acknowledged. */
  | { readonly kind: "steadily"; readonly moves: readonly TimedMove[] }
  /** What has come of such changes since it was last asked. */
  | { readonly kind: "arrivals" }
  /** Opens every map anew, so many at a time, and compares it with what was there. */
  | { readonly kind: "compare"; readonly concurrency: number }
  /** Waits until no message has come for so long. */
  | { readonly kind: "await-quiet"; readonly ms: number }
  /** Drops every connection at once and connects anew, all at the same time … */
  | { readonly kind: "reconnect" }
  /** … and compares the maps from before with those of now. */
  | { readonly kind: "compare-with-before" }
  /** From now on clients whose stream ends come back by themselves; waits until all have lost theirs and are back. */
  | { readonly kind: "survive" }
  | { readonly kind: "stats" };

export interface TimedMove {
  readonly client: number;
  readonly port: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export interface SimAnswer {
  /** Milliseconds since 1970, fractional: when it was done. */
  readonly at: number;
  /** Milliseconds since 1970: when the last client had what was waited for, by its own receipt. */
  readonly last?: number;
  readonly nodeIds?: readonly number[];
  /** Of `steadily`: when each change was sent, ms since 1970. */
  readonly sent?: readonly (readonly [port: number, at: number])[];
  readonly arrivals?: readonly Arrival[];
  readonly meter?: Meter;
  /** Seconds of CPU the process of clients has used. */
  readonly cpu?: number;
  /** Differences found by a comparison, the first few as text. */
  readonly differences?: number;
  readonly samples?: readonly string[];
  /** Peers compared. */
  readonly compared?: number;
  /** Clients whose stream the server ended in the meantime. */
  readonly cameBack?: number;
  readonly error?: string;
}

/** The clock all processes of this machine share. */
export function wallClock(): number {
  return performance.timeOrigin + performance.now();
}

/** Endpoints at this address are changes whose way is timed; the port is their number. */
export const watchedAddress = "198.51.100.7:";
