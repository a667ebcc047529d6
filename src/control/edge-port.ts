// The seam between core and edge over a MessagePort: the same calls in the same order, as many as a turn brings in one
// message. Map bytes that many sessions share cross once and are named by a number afterwards, for as long as the core
// holds them.
import type { MapMessage, SessionId } from "../netmap/contract.ts";
import type { EdgeEvents, EdgeLink, EdgeReply, EdgeRequest, RequestId } from "./edge-link.ts";

/** What both ends of a port and a worker have. */
export interface Port {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
}

type Part = Uint8Array | number;
export type Down =
  | { readonly kind: "reply"; readonly id: RequestId; readonly reply: EdgeReply }
  | { readonly kind: "open"; readonly id: RequestId; readonly session: SessionId }
  | { readonly kind: "keep"; readonly chunk: number; readonly bytes: Uint8Array }
  | { readonly kind: "forget"; readonly chunk: number }
  | {
      readonly kind: "deliver";
      readonly parts: readonly Part[];
      readonly length: number;
      readonly to: readonly SessionId[];
      readonly acceptedAt: number | undefined;
    }
  | { readonly kind: "end"; readonly session: SessionId };
export type Up =
  | { readonly kind: "request"; readonly request: EdgeRequest }
  | { readonly kind: "cancelled"; readonly id: RequestId }
  | { readonly kind: "blocked" | "drained" | "closed"; readonly session: SessionId };

/** Smaller chunks cross each time: a name would cost as much. */
const keptFrom = 1024;

/** Collects what a turn brings and sends it as one message. */
function batching<Item>(send: (batch: readonly Item[], transfer: ArrayBuffer[]) => void) {
  let batch: Item[] = [];
  let transfer: ArrayBuffer[] = [];
  return (item: Item, buffers: readonly ArrayBuffer[] = []): void => {
    transfer.push(...buffers);
    if (batch.push(item) === 1) {
      queueMicrotask(() => {
        const full = batch;
        const moved = transfer;
        batch = [];
        transfer = [];
        send(full, moved);
      });
    }
  };
}

/** A copy in a buffer of its own: what crosses is moved, and must not take its neighbours along. */
function detached(bytes: Uint8Array): { readonly bytes: Uint8Array; readonly buffer: ArrayBuffer } {
  const buffer = new ArrayBuffer(bytes.length);
  const copy = new Uint8Array(buffer);
  copy.set(bytes);
  return { bytes: copy, buffer };
}

export interface PortLink extends EdgeLink {
  /** What came over the port. */
  received(batch: readonly Up[]): void;
  /** The edge is gone: all that was open there ends, and what it held is forgotten. A fresh one may follow. */
  lost(): void;
}

/** The core's side. `events` is what the core gave for this edge; `port` may change when an edge was lost. */
export function createPortLink(port: () => Port | undefined, events: () => EdgeEvents): PortLink {
  const post = batching<Down>((batch, transfer) => port()?.postMessage({ down: batch }, transfer));
  let kept = new WeakMap<Uint8Array, number>();
  let generation = 0;
  let lastChunk = 0;
  const requests = new Set<RequestId>();
  const sessions = new Set<SessionId>();
  // When nobody here can send the chunk again, the edge need not keep it.
  const registry = new FinalizationRegistry<{ chunk: number; generation: number }>((held) => {
    if (held.generation === generation) {
      post({ kind: "forget", chunk: held.chunk });
    }
  });

  function partOf(chunk: Uint8Array, buffers: ArrayBuffer[]): Part {
    if (chunk.length < keptFrom) {
      const copy = detached(chunk);
      buffers.push(copy.buffer);
      return copy.bytes;
    }
    const known = kept.get(chunk);
    if (known !== undefined) {
      return known;
    }
    lastChunk++;
    kept.set(chunk, lastChunk);
    registry.register(chunk, { chunk: lastChunk, generation });
    const copy = detached(chunk);
    post({ kind: "keep", chunk: lastChunk, bytes: copy.bytes }, [copy.buffer]);
    return lastChunk;
  }

  return {
    reply(id, reply) {
      requests.delete(id);
      const body = detached(reply.body);
      post({ kind: "reply", id, reply: { ...reply, body: body.bytes } }, [body.buffer]);
    },
    openStream(id, session) {
      requests.delete(id);
      sessions.add(session);
      post({ kind: "open", id, session });
    },
    deliver(message: MapMessage, to, acceptedAt) {
      const buffers: ArrayBuffer[] = [];
      const parts = message.chunks.map((chunk) => partOf(chunk, buffers));
      post({ kind: "deliver", parts, length: message.length, to, acceptedAt }, buffers);
    },
    end: (session) => post({ kind: "end", session }),
    received(batch) {
      for (const item of batch) {
        switch (item.kind) {
          case "request":
            requests.add(item.request.id);
            events().request(item.request);
            break;
          case "cancelled":
            requests.delete(item.id);
            events().cancelled(item.id);
            break;
          case "closed":
            sessions.delete(item.session);
            events().closed(item.session);
            break;
          case "blocked":
          case "drained":
            events()[item.kind](item.session);
            break;
        }
      }
    },
    lost() {
      generation++;
      kept = new WeakMap();
      for (const id of requests) {
        events().cancelled(id);
      }
      for (const session of sessions) {
        events().closed(session);
      }
      requests.clear();
      sessions.clear();
    },
  };
}

/** The edge's side: events that go up. */
export function createPortEvents(port: Port): EdgeEvents {
  const post = batching<Up>((batch, transfer) => port.postMessage({ up: batch }, transfer));
  return {
    request(request) {
      const body = detached(request.body);
      post({ kind: "request", request: { ...request, body: body.bytes } }, [body.buffer]);
    },
    cancelled: (id) => post({ kind: "cancelled", id }),
    blocked: (session) => post({ kind: "blocked", session }),
    drained: (session) => post({ kind: "drained", session }),
    closed: (session) => post({ kind: "closed", session }),
  };
}

/** The edge's side: calls that come down, in their order. */
export function createPortReceiver(edge: EdgeLink): (batch: readonly Down[]) => void {
  const kept = new Map<number, Uint8Array>();
  return (batch) => {
    for (const item of batch) {
      switch (item.kind) {
        case "reply":
          edge.reply(item.id, item.reply);
          break;
        case "open":
          edge.openStream(item.id, item.session);
          break;
        case "keep":
          kept.set(item.chunk, item.bytes);
          break;
        case "forget":
          kept.delete(item.chunk);
          break;
        case "deliver": {
          const chunks = item.parts.flatMap((part) => (typeof part === "number" ? (kept.get(part) ?? []) : part));
          edge.deliver({ chunks, length: item.length }, item.to, item.acceptedAt);
          break;
        }
        case "end":
          edge.end(item.session);
          break;
      }
    }
  };
}
