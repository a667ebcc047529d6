// Which map streams are open, and whose. A session belongs to a node, not to a connection or a key: after a key
// rotation the new key's stream replaces the old one's, and the end of the old one says nothing about the node.
import type { MapSessions, MapStreamOptions, SessionId } from "../netmap/contract.ts";
import type { Tailnet } from "../tailnet/contract.ts";
import type { NodeId } from "../wire/ids.ts";
import type { ControlCounters } from "./counters.ts";
import type { EdgeHub } from "./edge-hub.ts";

export interface Sessions {
  /** The node's older stream, if any, ends; `start` is called in between, to answer the request. */
  open(session: SessionId, options: MapStreamOptions, start: () => void): void;
  /** The edge says that the stream is over. */
  closed(session: SessionId): void;
  /** The open session of a node. */
  of(node: NodeId): SessionId | undefined;
  readonly count: number;
}

export function createSessions(room: {
  readonly tailnet: Pick<Tailnet, "sessionOpened" | "sessionClosed">;
  readonly netmap: MapSessions;
  readonly hub: EdgeHub;
  readonly counters: ControlCounters;
}): Sessions {
  const { tailnet, netmap, hub, counters } = room;
  const nodeOf = new Map<SessionId, NodeId>();
  const sessionOf = new Map<NodeId, SessionId>();

  function closed(session: SessionId): void {
    const node = nodeOf.get(session);
    if (node === undefined) {
      return;
    }
    nodeOf.delete(session);
    if (sessionOf.get(node) === session) {
      sessionOf.delete(node);
    }
    counters.streamsOpen--;
    netmap.close(session);
    tailnet.sessionClosed(node);
  }

  return {
    open(session, options, start) {
      const node = options.node;
      const older = sessionOf.get(node);
      nodeOf.set(session, node);
      sessionOf.set(node, session);
      counters.streamsOpened++;
      counters.streamsOpen++;
      tailnet.sessionOpened(node);
      if (older !== undefined) {
        closed(older);
        hub.end(older);
      }
      start();
      // The edge may have found the client gone.
      if (nodeOf.has(session)) {
        netmap.open(session, options);
      }
    },
    closed,
    of: (node) => sessionOf.get(node),
    get count() {
      return nodeOf.size;
    },
  };
}
