// The netmap engine: keeps every open map stream in step with the tailnet. A session is a cursor; nothing is queued for
// it. Changes of the tailnet are joined until the next round, and a round tells all sessions what lies between their
// cursor and now. How a delta, a full map and their bytes come about is told in delta.ts, snapshot.ts and message.ts.
//
// Pure: time, randomness and turns of the loop are passed in.
import type { ChangeListener } from "../tailnet/contract.ts";
import type { Change, Node } from "../tailnet/model.ts";
import type { NodeId } from "../wire/ids.ts";
import type { DERPMap, PingRequest } from "../wire/tailcfg.ts";
import { Audiences } from "./audiences.ts";
import { changed } from "./change-log.ts";
import type { MapEdge, MapSessions, SessionId } from "./contract.ts";
import { type NetmapCounters, newCounters } from "./counters.ts";
import { KeepAlives } from "./keep-alive.ts";
import { Messages, SharedMessage } from "./message.ts";
import { type Defer, Pace } from "./pace.ts";
import { changesOwnRecord, maxHold, peerBits, Pending } from "./pending.ts";
import { defaultSlice, tellEverybody } from "./rounds.ts";
import { newSession, own, type Session } from "./session.ts";
import type { DnsSettings, NetmapSettings, NetmapTailnet } from "./settings.ts";
import { Teller } from "./teller.ts";
import { timeText } from "./texts.ts";

export interface NetmapOptions {
  readonly tailnet: NetmapTailnet;
  readonly edge: MapEdge;
  readonly settings: NetmapSettings;
  /** Milliseconds since 1970; parts of them are welcome. */
  readonly clock: { now(): number };
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly defer: Defer;
  /** Changes remembered for sessions that fall behind; those further back start over. */
  readonly horizon?: number;
  /** Changes remembered whether or not anybody is behind. */
  readonly kept?: number;
  /** Sessions told in one turn of the loop. */
  readonly slice?: number;
}

export interface SessionState {
  readonly session: SessionId;
  readonly node: NodeId;
  readonly capVersion: number;
  readonly compression: string;
  readonly omitPeers: boolean;
  /** The last step it was told. */
  readonly cursor: number;
  /** Steps between that and now. */
  readonly behind: number;
  /** Its socket is full: it is caught up when that has drained. */
  readonly blocked: boolean;
  /** When something was last sent, ms. */
  readonly lastSent: number;
}

export interface Netmap extends MapSessions {
  readonly counters: Readonly<NetmapCounters>;
  /** How many sessions are open. */
  readonly sessionCount: number;
  /** How many different views they have. */
  readonly viewCount: number;
  /** How many sessions wait for their client to read. */
  readonly blockedCount: number;
  /** Changes that are remembered for sessions that are behind. */
  readonly rememberedCount: number;
  /** The open sessions and how far behind each is, for people who look for a fault. */
  sessionStates(): readonly SessionState[];
  setDns(dns: DnsSettings): void;
  setDerpMap(map: DERPMap): void;
  /** Stops listening to the tailnet. */
  stop(): void;
}

/** Pings kept for a session whose socket is full; whoever asked gives up long before. */
const maxPings = 4;

export function createNetmap(options: NetmapOptions): Netmap {
  const { tailnet, edge, defer, clock, random } = options;
  const now = () => clock.now();
  const counters = newCounters();
  const settings = options.settings;
  const messages = new Messages(counters);
  const audiences = new Audiences({
    tailnet,
    settings,
    messages,
    counters,
    ...(options.horizon === undefined ? {} : { horizon: options.horizon }),
    ...(options.kept === undefined ? {} : { kept: options.kept }),
  });
  const teller = new Teller({ tailnet, edge, settings, messages, counters, audiences, now });
  const pending = new Pending(counters);
  const keepAlives = new KeepAlives(now(), random);
  const sessions = new Map<SessionId, Session>();
  const byNode = new Map<NodeId, readonly Session[]>();
  /** Sessions of deleted nodes, with what their node was. */
  let deleted: { readonly session: Session; readonly last: Node }[] = [];
  let round: Generator<void> | undefined;
  const pace = new Pace(now, defer, beginRound);
  /** When the oldest change was accepted that no round has taken up. */
  let newsSince: number | undefined;

  function askForRound(): void {
    newsSince ??= now();
    pace.ask();
  }

  // What changed.

  function markStale(node: NodeId, bits: number): void {
    for (const session of byNode.get(node) ?? []) {
      session.stale |= bits;
    }
  }

  function markAllStale(bits: number): void {
    for (const session of sessions.values()) {
      session.stale |= bits;
    }
  }

  function note(change: Change): void {
    switch (change.kind) {
      case "node-added":
        noteNew(change.id);
        return;
      case "node-removed":
        pending.release(change.id, undefined, now());
        pending.peer(change.id);
        audiences.book.removed(change.id);
        for (const session of byNode.get(change.id) ?? []) {
          deleted.push({ session, last: change.last });
        }
        return;
      case "node-changed":
        noteNode(change);
        return;
      case "user-changed":
      case "user-removed":
        audiences.userChanged(change.id, change.kind === "user-removed");
        pending.user(change.id);
        for (const session of sessions.values()) {
          session.stale |= tailnet.node(session.node)?.userId === change.id ? own.user : 0;
        }
        return;
      case "policy-replaced":
        pending.everybody();
        markAllStale(own.policy);
        return;
      case "dns-changed":
      case "derp-changed":
        // The settings themselves come through setDns and setDerpMap.
        return;
    }
  }

  function noteNew(id: NodeId): void {
    const node = tailnet.node(id);
    if (node !== undefined && pending.hold(node, now() + maxHold)) {
      defer(() => {
        // Whatever the clock says: a timer may be early, and nothing would ask again.
        pending.release(id, tailnet.node(id), Infinity);
        askForRound();
      }, maxHold);
    }
  }

  function noteNode({ id, before, fields }: Extract<Change, { kind: "node-changed" }>): void {
    const node = tailnet.node(id);
    if (node === undefined) {
      return;
    }
    const bits = peerBits(before, node, fields);
    audiences.book.changed(id, bits);
    pending.node(id, bits);
    pending.release(id, node, now());
    let stale = changesOwnRecord(before, node, fields) ? own.record : 0;
    if (teller.texts.dnsIsPerNode) {
      stale |= own.dns;
    }
    if (stale !== 0) {
      markStale(id, stale);
    }
  }

  const onBatch: ChangeListener = ({ changes, effect }) => {
    for (const change of changes) {
      note(change);
    }
    if (effect.everything) {
      pending.everybody();
      markAllStale(own.policy);
    }
    for (const id of effect.nodes) {
      markStale(id, own.policy);
    }
    for (const id of effect.peers) {
      pending.peer(id);
    }
    if (somethingToTell()) {
      askForRound();
    }
  };
  const unsubscribe = tailnet.subscribe(onBatch);

  // Rounds.

  function beginRound(): void {
    if (round !== undefined) {
      return;
    }
    counters.flushes++;
    const since = newsSince;
    newsSince = undefined;
    for (const { session, last } of deleted) {
      if (!session.closed) {
        teller.tellDeleted(session, last);
        forget(session);
      }
    }
    deleted = [];
    const changes = pending.take();
    const from = audiences.log.current;
    audiences.step({ ...changes, nodes: withCapabilities(changes.nodes, changes.everyone ? null : changes.peers) });
    const tally = { messages: 0, sessions: 0, changes: 0 };
    const slice = options.slice ?? defaultSlice;
    round = tellEverybody({ tailnet, teller, counters, slice, tally }, from, sessions.values());
    const began = now();
    const sent = counters.messages;
    const turn = () => {
      teller.newsSince = since;
      const done = round?.next().done !== false;
      teller.newsSince = undefined;
      if (!done) {
        defer(turn, 0);
        return;
      }
      round = undefined;
      pace.finished(began, { ...tally, messages: counters.messages - sent });
      if (somethingToTell()) {
        askForRound();
      }
    };
    turn();
  }

  /** Adds the peers whose capabilities are told differently now; they are part of the whole peer. */
  function withCapabilities(
    nodes: ReadonlyMap<NodeId, number>,
    peers: ReadonlySet<NodeId> | null,
  ): ReadonlyMap<NodeId, number> {
    const all = new Map(nodes);
    for (const id of peers ?? audiences.book.known()) {
      if (audiences.book.capsChanged(id)) {
        audiences.book.changed(id, changed.body);
        all.set(id, (all.get(id) ?? 0) | changed.body);
      }
    }
    return all;
  }

  function somethingToTell(): boolean {
    if (!pending.empty || deleted.length > 0) {
      return true;
    }
    for (const session of sessions.values()) {
      if (session.stale !== 0 && !session.blocked) {
        return true;
      }
    }
    return false;
  }

  // Sessions.

  function forget(session: Session): void {
    session.closed = true;
    sessions.delete(session.id);
    keepAlives.forget(session);
    audiences.join(session, null);
    const rest = (byNode.get(session.node) ?? []).filter((other) => other !== session);
    if (rest.length === 0) {
      byNode.delete(session.node);
    } else {
      byNode.set(session.node, rest);
    }
    if (round === undefined) {
      audiences.sweep();
    }
  }

  function sendPings(session: Session): void {
    const pings = session.pings;
    session.pings = [];
    for (const ping of pings) {
      counters.keepAlives++;
      teller.sendShared(new SharedMessage([messages.single(signOfLife(`,"PingRequest":${ping}`))]), [session]);
    }
  }

  /** Never the bare form, which some clients take for a pattern to drop other messages by (quirk 55). */
  function signOfLife(more = ""): string {
    return `{"KeepAlive":true,"ControlTime":"${timeText(now())}"${more}}`;
  }

  return {
    counters,
    get sessionCount() {
      return sessions.size;
    },

    get viewCount() {
      return audiences.count;
    },

    get blockedCount() {
      let count = 0;
      for (const { blocked } of sessions.values()) {
        count += blocked ? 1 : 0;
      }
      return count;
    },

    get rememberedCount() {
      return audiences.remembered;
    },

    sessionStates() {
      const { current } = audiences.log;
      return [...sessions.values()].map((session) => ({
        session: session.id,
        node: session.node,
        capVersion: session.capVersion,
        compression: session.compression,
        omitPeers: session.omitPeers,
        cursor: session.cursor,
        behind: current - session.cursor,
        blocked: session.blocked,
        lastSent: session.lastSent,
      }));
    },

    open(id, streamOptions) {
      const node = tailnet.node(streamOptions.node);
      if (node === undefined) {
        edge.end(id);
        return;
      }
      const session = newSession(id, streamOptions);
      sessions.set(id, session);
      byNode.set(node.id, [...(byNode.get(node.id) ?? []), session]);
      teller.tellAll(session, node, true);
      keepAlives.watch(session);
      teller.catchUp(session);
    },

    close(id) {
      const session = sessions.get(id);
      if (session !== undefined) {
        forget(session);
      }
    },

    blocked(id) {
      const session = sessions.get(id);
      if (session !== undefined) {
        session.blocked = true;
      }
    },

    drained(id) {
      const session = sessions.get(id);
      if (session?.blocked === true) {
        session.blocked = false;
        teller.catchUp(session);
        sendPings(session);
      }
    },

    ping(node: NodeId, ping: PingRequest) {
      for (const session of byNode.get(node) ?? []) {
        session.pings = [...session.pings, JSON.stringify(ping)].slice(-maxPings);
        if (!session.blocked) {
          sendPings(session);
        }
      }
    },

    once(streamOptions) {
      const node = tailnet.node(streamOptions.node);
      if (node === undefined) {
        throw new Error(`map asked for node ${streamOptions.node}, which does not exist`);
      }
      return teller.once(newSession(0, streamOptions), node);
    },

    tick() {
      const silent = keepAlives.due(now());
      if (silent.length > 0) {
        const message = new SharedMessage([messages.single(signOfLife())]);
        const ready = silent.filter(({ blocked }) => !blocked);
        counters.keepAlives += ready.length;
        teller.sendShared(message, ready);
        for (const session of silent) {
          // A blocked session is being read, or will be ended by the edge; it is looked at again later.
          session.lastSent = now();
          keepAlives.watch(session);
        }
      }
      pace.tick();
    },

    setDns(dns) {
      teller.texts.setDns(dns);
      markAllStale(own.dns);
      askForRound();
    },

    setDerpMap(map) {
      teller.texts.setDerpMap(map);
      markAllStale(own.derp);
      askForRound();
    },

    stop() {
      unsubscribe();
    },
  };
}
