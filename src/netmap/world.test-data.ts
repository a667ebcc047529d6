// A netmap over a tailnet with clients at the other end, under a clock and a loop that only tests turn.
import type { NodeId } from "../wire/ids.ts";
import type { MapNode } from "../wire/tailcfg.ts";
import { TestClient } from "./client.test-data.ts";
import type { MapEdge, MapMessage, SessionId } from "./contract.ts";
import { expectedNetmap } from "./expected.ts";
import type { Compression } from "./message.ts";
import { createNetmap, type Netmap } from "./netmap.ts";
import type { NetmapSettings, NetmapTailnet } from "./settings.ts";
import { startOfTime, testSettings } from "./tailnet.test-data.ts";

export interface TestSession {
  readonly id: SessionId;
  readonly node: NodeId;
  readonly capVersion: number;
  readonly omitPeers: boolean;
  readonly client: TestClient;
  /** Counts messages without reading them: large worlds need many sessions and few readers. */
  readonly deaf: boolean;
  blocked: boolean;
  ended: boolean;
}

interface Turn {
  readonly at: number;
  readonly run: () => void;
}

export class World<Tailnet extends NetmapTailnet> implements MapEdge {
  readonly tailnet: Tailnet;
  readonly netmap: Netmap;
  settings: NetmapSettings;
  now = startOfTime;
  readonly sessions = new Map<SessionId, TestSession>();
  /** The next message blocks these sessions' sockets, in the middle of whatever is going on. */
  readonly stumbling = new Set<SessionId>();
  /** The next message finds these sessions' sockets gone. */
  readonly breaking = new Set<SessionId>();
  readonly #broken = new Set<SessionId>();
  #turns: Turn[] = [];
  #ids = 0;
  #draws = 0;

  constructor(tailnet: Tailnet, { settings = testSettings, ...bounds }: Partial<WorldOptions> = {}) {
    this.tailnet = tailnet;
    this.settings = settings;
    this.netmap = createNetmap({
      tailnet,
      edge: this,
      settings,
      clock: { now: () => this.now },
      random: () => ((this.#draws++ * 37) % 100) / 100,
      // Real timers may be early by a millisecond against the clock.
      defer: (run, afterMs) => this.#turns.push({ at: this.now + Math.max(0, afterMs - 1), run }),
      ...bounds,
    });
  }

  // The edge.

  deliver(message: MapMessage, sessions: readonly SessionId[]): void {
    for (const id of sessions) {
      const session = this.sessions.get(id);
      if (this.#broken.has(id)) {
        continue;
      }
      if (session === undefined || session.ended) {
        throw new Error(`bytes for session ${id}, which is over`);
      }
      if (!session.deaf) {
        session.client.receive(message);
      }
      if (this.stumbling.delete(id)) {
        this.block(session);
      }
      if (this.breaking.delete(id)) {
        this.#broken.add(id);
        this.close(session);
      }
    }
  }

  end(id: SessionId): void {
    const session = this.sessions.get(id);
    if (session !== undefined) {
      session.ended = true;
      this.close(session);
    }
  }

  // What tests do.

  open(
    node: NodeId,
    { compression = "zstd", capVersion = 142, omitPeers = false, deaf = false }: Partial<SessionOptions> = {},
  ): TestSession {
    const id = ++this.#ids;
    const client = new TestClient(compression);
    const session = { id, node, capVersion, omitPeers, client, deaf, blocked: false, ended: false };
    this.sessions.set(id, session);
    this.netmap.open(id, { node, capVersion, compress: compression, omitPeers });
    return session;
  }

  close(session: TestSession): void {
    this.sessions.delete(session.id);
    this.netmap.close(session.id);
  }

  block(session: TestSession): void {
    session.blocked = true;
    this.netmap.blocked(session.id);
  }

  drain(session: TestSession): void {
    session.blocked = false;
    this.netmap.drained(session.id);
  }

  /** Runs what is due within so many ms; the clock stands at the end of them afterwards. */
  run(ms: number): void {
    const until = this.now + ms;
    for (let turns = 0; ; turns++) {
      if (turns > 100_000) {
        throw new Error("the loop does not come to rest");
      }
      const next = this.#turns
        .filter(({ at }) => at <= until)
        .reduce<Turn | undefined>(
          (first, turn) => (first === undefined || turn.at < first.at ? turn : first),
          undefined,
        );
      if (next === undefined) {
        break;
      }
      this.#turns.splice(this.#turns.indexOf(next), 1);
      this.now = Math.max(this.now, next.at);
      next.run();
    }
    this.now = until;
  }

  /** One turn of the loop, however late the clock says it is. */
  turn(): boolean {
    const next = this.#turns.shift();
    if (next !== undefined) {
      this.now = Math.max(this.now, next.at);
      next.run();
    }
    return next !== undefined;
  }

  /** Sessions that netmap believes to be open, and those that are. */
  counts(): readonly [netmap: number, edge: number] {
    return [this.netmap.sessionCount, this.sessions.size];
  }

  /** Lets everything that is waiting happen. */
  settle(): void {
    this.run(1000);
  }

  /** What differs between what the session has and what it should have had at a time; empty when nothing does. */
  faultsOf(session: TestSession, at = this.now): string[] {
    const expected = expectedNetmap(this.tailnet, this.settings, session, at);
    const { client } = session;
    if (expected === undefined) {
      return ["the node is gone and the session is not"];
    }
    const compare = (what: string, has: unknown, should: unknown) =>
      text(has) === text(should) ? [] : [`${what}: has ${text(has)} but should have ${text(should)}`];
    const faults = [
      ...compare("self", comparableSelf(client.self), comparableSelf(expected.self)),
      ...compare(
        "peers",
        [...client.peers.keys()].sort(ascending),
        expected.peers.map(({ ID }) => ID),
      ),
      ...expected.peers.flatMap((peer) =>
        compare(`peer ${peer.ID}`, comparablePeer(client.peers.get(peer.ID)), comparablePeer(peer)),
      ),
      ...compare("filter", client.filters.get("base"), expected.filter),
      ...compare("ssh", client.ssh, expected.ssh),
      ...compare("dns", client.dns, expected.dns),
      ...compare("derp", client.derp, expected.derp),
      ...expected.profiles.flatMap((profile) =>
        compare(`profile ${profile.ID}`, client.users.get(profile.ID), profile),
      ),
    ];
    return faults.map((fault) => `session ${session.id} of node ${session.node}: ${fault}`);
  }

  /** Of all sessions that are not blocked, and read. */
  faults(at = this.now): string[] {
    return [...this.sessions.values()]
      .filter(({ blocked, deaf }) => !blocked && !deaf)
      .flatMap((session) => this.faultsOf(session, at));
  }
}

interface WorldOptions {
  readonly settings: NetmapSettings;
  readonly horizon: number;
  readonly slice: number;
  readonly kept: number;
}

interface SessionOptions {
  readonly compression: Compression;
  readonly capVersion: number;
  readonly omitPeers: boolean;
  readonly deaf: boolean;
}

function ascending(a: number, b: number): number {
  return a - b;
}

/** Keys in one order. */
function text(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** Forms that mean the same to a client are made one; LastSeen counts only while offline. */
function comparablePeer(peer: MapNode | undefined): unknown {
  if (peer === undefined) {
    return undefined;
  }
  const { LastSeen, CapMap, KeyExpiry, ...rest } = peer;
  return {
    ...rest,
    ...(peer.Online === true ? {} : { LastSeen }),
    ...(CapMap === undefined || Object.keys(CapMap).length === 0 ? {} : { CapMap }),
    ...(KeyExpiry === undefined || KeyExpiry.startsWith("0001-") ? {} : { KeyExpiry }),
  };
}

/** What a node knows better itself is not told again when it changes. */
function comparableSelf(self: MapNode | undefined): unknown {
  if (self === undefined) {
    return undefined;
  }
  const known = new Set(["Endpoints", "HomeDERP", "DiscoKey", "Cap"]);
  return Object.fromEntries(Object.entries(self).filter(([field]) => !known.has(field)));
}
