// An edge: all connections of one thread. Turns streams into numbered requests and sessions for the core, writes what
// comes back, and looks after the connections: who may have how many, who is silent, who does not read.
import type { Clock } from "../identity/clock.ts";
import type { MapMessage, SessionId } from "../netmap/contract.ts";
import type { RequestHead } from "../wire/h2-server.ts";
import type { MachineKey } from "../wire/ids.ts";
import type { SessionKeys } from "../wire/noise.ts";
import type { Ticket } from "./admission.ts";
import { type BodyBudget, createBodyPool, createBodyShare } from "./body-buffer.ts";
import { sourceOf } from "./client-address.ts";
import { Connection } from "./connection.ts";
import type { ConnectionOwner } from "./connection-owner.ts";
import type { ControlCounters } from "./counters.ts";
import type { EdgeEvents, EdgeLink, EdgeReply, RequestId } from "./edge-link.ts";
import { faultText, type Log, shortKey } from "./log.ts";
import { createSealBuffers } from "./seal-buffers.ts";
import type { MapStream } from "./map-stream.ts";
import type { Transport } from "./transport.ts";
import { createWriteTurns } from "./write-turns.ts";

export interface EdgeLimits {
  /** Connections of one machine key; honest clients have up to three. */
  readonly perMachine: number;
  /** Connections of machines that belong to no node; anybody may open one. */
  readonly strangers: number;
  /** Unfinished request bodies of strangers in all, bytes; and again as much for known nodes. */
  readonly bodies: number;
  /** From a request's head to the end of its body. */
  readonly bodyMs: number;
  /** From the handshake to the first request. */
  readonly firstRequestMs: number;
  /** A connection without an open stream. */
  readonly idleMs: number;
  /** Silence after which the client is asked for a sign of life … */
  readonly silenceMs: number;
  /** … and how long it has for that; and how long it may leave what was sent unread. */
  readonly patienceMs: number;
}

export const defaultEdgeLimits: EdgeLimits = {
  perMachine: 16,
  strangers: 4096,
  bodies: 64 * 1024 * 1024,
  bodyMs: 15_000,
  firstRequestMs: 10_000,
  idleMs: 120_000,
  silenceMs: 120_000,
  patienceMs: 60_000,
};

export interface EdgeOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: ControlCounters;
  readonly limits?: Partial<EdgeLimits>;
  /** Requests are numbered from here on; an edge that follows a lost one must not use its numbers again. */
  readonly firstRequest?: number;
}

export interface NewConnection {
  readonly transport: Transport;
  readonly keys: SessionKeys;
  readonly machineKey: MachineKey;
  readonly capVersion: number;
  readonly source: string;
  /** Written before anything else. */
  readonly greeting: Uint8Array;
  /** Given back when the connection's first request is answered, or it ends. */
  readonly ticket: Ticket;
}

export interface Edge extends EdgeLink {
  /** Takes the core's side; before that no connection may be accepted. */
  connect(events: EdgeEvents): void;
  accept(connection: NewConnection): void;
  /** Ends all connections; resolves when they are gone, at the latest after `ms`. */
  stop(ms: number): Promise<void>;
}

/** How often the connections are looked after. */
const sweepMs = 5000;

interface Source {
  readonly connections: Set<Connection>;
  readonly bodies: BodyBudget;
}

interface Place {
  readonly connection: Connection;
  readonly stream: number;
}

interface OpenSession {
  readonly connection: Connection;
  readonly map: MapStream;
}

export function createEdge({ clock, log, counters, limits: given, firstRequest = 0 }: EdgeOptions): Edge {
  const limits: EdgeLimits = { ...defaultEdgeLimits, ...given };
  const connections = new Set<Connection>();
  const byMachine = new Map<MachineKey, Set<Connection>>();
  const strangers = new Map<string, Source>();
  let strangerCount = 0;
  const knownBodies = createBodyPool(limits.bodies);
  const strangerBodies = createBodyPool(limits.bodies);
  const requests = new Map<RequestId, Place>();
  const requestOf = new Map<Connection, Map<number, RequestId>>();
  const sessions = new Map<SessionId, OpenSession>();
  /** Of connections that have no answer yet. */
  const tickets = new Map<Connection, Ticket>();
  const buffers = createSealBuffers();
  let lastRequest = firstRequest;
  const writes = createWriteTurns<Connection>(clock, counters, (connection, fault) => {
    log.error({ error: faultText(fault) }, "a write failed");
    connection.destroy();
  });
  let events: EdgeEvents | undefined;
  let whenEmpty: (() => void) | undefined;
  let cancelSweep = clock.after(sweepMs, sweep);

  const owner: ConnectionOwner = {
    bodyBudget: (connection) =>
      connection.known ? knownBodies : (strangers.get(sourceOf(connection.source))?.bodies ?? strangerBodies),
    request(connection, stream, head: RequestHead, body) {
      tickets.get(connection)?.spoke();
      lastRequest++;
      const id: RequestId = lastRequest;
      requests.set(id, { connection, stream });
      requestOf.get(connection)?.set(stream, id);
      events?.request({
        id,
        machineKey: connection.machineKey,
        capVersion: connection.capVersion,
        source: connection.source,
        method: head.method,
        path: head.path,
        body,
      });
    },
    streamGone(connection, stream) {
      const id = requestOf.get(connection)?.get(stream);
      if (id !== undefined) {
        requestOf.get(connection)?.delete(stream);
        requests.delete(id);
        events?.cancelled(id);
      }
    },
    sessionGone(session) {
      sessions.delete(session);
      events?.closed(session);
    },
    blocked: (session) => events?.blocked(session),
    drained: (session) => events?.drained(session),
    overflowed: cut,
    flooded(connection) {
      log.debug(
        { machine: shortKey(connection.machineKey), from: connection.source },
        "a stranger floods with requests",
      );
      connection.destroy();
    },
    dirty: (connection) => writes.add(connection),
    patient: (connection) => writes.addPatient(connection),
    closed(connection) {
      connections.delete(connection);
      requestOf.delete(connection);
      giveTicketBack(connection);
      leave(byMachine, connection.machineKey, connection);
      if (!connection.known) {
        forgetStranger(connection);
      }
      counters.connectionsOpen--;
      if (connections.size === 0) {
        whenEmpty?.();
      }
    },
  };

  function cut(connection: Connection): void {
    counters.streamsCut++;
    log.info({ machine: shortKey(connection.machineKey) }, "client does not read; its connection is cut");
    connection.destroy();
  }

  function addStranger(connection: Connection): void {
    const name = sourceOf(connection.source);
    const source = strangers.get(name);
    if (source === undefined) {
      strangers.set(name, { connections: new Set([connection]), bodies: createBodyShare(strangerBodies) });
    } else {
      source.connections.add(connection);
    }
    strangerCount++;
  }

  function forgetStranger(connection: Connection): void {
    const name = sourceOf(connection.source);
    const source = strangers.get(name);
    if (source?.connections.delete(connection) === true) {
      strangerCount--;
      if (source.connections.size === 0) {
        strangers.delete(name);
      }
    }
  }

  function giveTicketBack(connection: Connection): void {
    tickets.get(connection)?.served();
    tickets.delete(connection);
  }

  function takeRequest(id: RequestId): Place | undefined {
    const place = requests.get(id);
    if (place !== undefined) {
      giveTicketBack(place.connection);
      requests.delete(id);
      requestOf.get(place.connection)?.delete(place.stream);
    }
    return place;
  }

  function becomeKnown(connection: Connection): void {
    if (!connection.known) {
      forgetStranger(connection);
      connection.known = true;
    }
  }

  /** One machine, however often it connects, displaces only itself. */
  function boundMachine(machineKey: MachineKey): void {
    const own = byMachine.get(machineKey);
    if (own !== undefined && own.size > limits.perMachine) {
      const idle = [...own].find((connection) => !connection.hasSession);
      log.info({ machine: shortKey(machineKey) }, "machine has too many connections; an old one is closed");
      (idle ?? [...own][0])?.destroy();
    }
  }

  /** Among strangers the source with most connections loses its oldest one that has nothing open. */
  function boundStrangers(): void {
    if (strangerCount <= limits.strangers) {
      return;
    }
    let greediest: ReadonlySet<Connection> = new Set();
    for (const source of strangers.values()) {
      if (source.connections.size > greediest.size) {
        greediest = source.connections;
      }
    }
    const group = [...greediest];
    (group.find((connection) => !connection.busy) ?? group[0])?.destroy();
  }

  function sweep(): void {
    cancelSweep = clock.after(sweepMs, sweep);
    buffers.rest();
    const now = clock.elapsed();
    for (const connection of connections) {
      const silence = now - connection.heardAt;
      connection.dropSlowBodies(now - limits.bodyMs);
      if (!connection.proven && now - connection.openedAt > limits.firstRequestMs) {
        counters.handshakesFailed++;
        connection.destroy();
      } else if (connection.waitsForClient && now - connection.progressAt > limits.patienceMs) {
        cut(connection);
      } else if (silence > limits.silenceMs + limits.patienceMs) {
        log.debug({ machine: shortKey(connection.machineKey) }, "client is silent; its connection is cut");
        connection.destroy();
      } else if (!connection.busy && silence > limits.idleMs) {
        connection.close();
      } else if (silence > limits.silenceMs) {
        connection.ping();
      }
    }
  }

  return {
    connect(given) {
      events = given;
    },
    accept({ greeting, ticket, ...rest }) {
      const connection = new Connection({ ...rest, owner, buffers, now: () => clock.elapsed() });
      connections.add(connection);
      tickets.set(connection, ticket);
      requestOf.set(connection, new Map());
      enter(byMachine, connection.machineKey, connection);
      addStranger(connection);
      counters.connectionsOpened++;
      counters.connectionsOpen++;
      connection.start(greeting);
      boundMachine(connection.machineKey);
      boundStrangers();
    },
    reply(id, reply: EdgeReply) {
      const place = takeRequest(id);
      if (place !== undefined) {
        if (reply.known) {
          becomeKnown(place.connection);
        }
        place.connection.reply(place.stream, reply);
      }
    },
    openStream(id, session) {
      const place = takeRequest(id);
      const map = place?.connection.openSession(place.stream, session);
      if (place === undefined || map === undefined) {
        events?.closed(session);
        return;
      }
      becomeKnown(place.connection);
      sessions.set(session, { connection: place.connection, map });
    },
    deliver(message: MapMessage, targets: readonly SessionId[], acceptedAt?: number) {
      const now = clock.elapsed();
      let delivered = 0;
      let writable = 0;
      for (const session of targets) {
        const open = sessions.get(session);
        if (open !== undefined) {
          delivered++;
          writable += open.connection.deliver(open.map, message, now) ? 1 : 0;
        }
      }
      counters.messagesDelivered += delivered;
      counters.bytesDelivered += delivered * message.length;
      if (acceptedAt !== undefined && writable > 0) {
        writes.news(acceptedAt, writable);
      }
    },
    end(session) {
      const open = sessions.get(session);
      open?.connection.endSession(open.map);
    },
    async stop(ms) {
      cancelSweep();
      if (connections.size === 0) {
        return;
      }
      await new Promise<void>((resolve) => {
        whenEmpty = resolve;
        clock.after(ms, resolve);
        for (const connection of connections) {
          connection.close();
        }
      });
      for (const connection of connections) {
        connection.destroy();
      }
    },
  };
}

function enter<Key>(groups: Map<Key, Set<Connection>>, key: Key, connection: Connection): void {
  const group = groups.get(key);
  if (group === undefined) {
    groups.set(key, new Set([connection]));
  } else {
    group.add(connection);
  }
}

/** False when it was not there. */
function leave<Key>(groups: Map<Key, Set<Connection>>, key: Key, connection: Connection): boolean {
  const group = groups.get(key);
  const was = group?.delete(connection) ?? false;
  if (group?.size === 0) {
    groups.delete(key);
  }
  return was;
}
