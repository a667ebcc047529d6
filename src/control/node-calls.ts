// The server asks a node something: c2n (an HTTP request that the client answers itself) and the liveness ping.
// The question rides on the map stream, the answer comes back as a request of the node over Noise (protocol §5.3), which
// works behind any proxy. Answers are matched by an id that nobody can guess and count only from the machine that owns
// the asked node.
import type { Clock } from "../identity/clock.ts";
import type { MapSessions } from "../netmap/contract.ts";
import type { Tailnet } from "../tailnet/contract.ts";
import type { NodeId } from "../wire/ids.ts";
import type { ControlCounters } from "./counters.ts";
import type { EdgeReply } from "./edge-link.ts";
import type { MachineCall } from "./machine-call.ts";
import { emptyReply, textReply } from "./reply.ts";
import type { Sessions } from "./sessions.ts";
import { type NodeResponse, parseNodeResponse } from "./node-response.ts";

export interface NodeRequest {
  readonly method: string;
  /** Path with query, e.g. `/echo` (protocol §5.4). */
  readonly path: string;
  readonly body?: Uint8Array;
  /** Milliseconds; 75 seconds. */
  readonly timeoutMs?: number;
}

export type NodeCallFailure =
  /** No map stream is open, so there is no way to ask. */
  | "offline"
  | "timeout"
  /** Too many unanswered questions to this node. */
  | "busy"
  /** What came back is not an HTTP response. */
  | "garbled";

export type NodeCallResult =
  | { readonly ok: true; readonly response: NodeResponse; readonly elapsedMs: number }
  | { readonly ok: false; readonly failure: NodeCallFailure };

export interface NodeCalls {
  c2n(node: NodeId, request: NodeRequest): Promise<NodeCallResult>;
  /** Is the stream really alive? Milliseconds until the answer, or why there is none. */
  probe(
    node: NodeId,
    timeoutMs: number,
  ): Promise<
    { readonly ok: true; readonly elapsedMs: number } | { readonly ok: false; readonly failure: NodeCallFailure }
  >;
  /** The node's answer: /machine/ping-response?id=… */
  answer(call: MachineCall, body: Uint8Array): EdgeReply;
}

/** Where answers go. */
export const answerPath = "/machine/ping-response";

const perNodeLimit = 16;
const defaultTimeoutMs = 75_000;

interface Question {
  readonly node: NodeId;
  readonly askedAt: number;
  finish(body: Uint8Array): void;
}

export interface NodeCallsRoom {
  readonly tailnet: Pick<Tailnet, "node">;
  readonly netmap: Pick<MapSessions, "ping">;
  readonly sessions: Pick<Sessions, "of">;
  readonly clock: Clock;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly serverUrl: string;
  readonly counters: ControlCounters;
}

export function createNodeCalls(room: NodeCallsRoom): NodeCalls {
  const { clock } = room;
  const open = new Map<string, Question>();
  const perNode = new Map<NodeId, number>();
  // The host of the URL decides which of its connections the client uses: the one the map stream is on.
  const base = `https://${new URL(room.serverUrl).host}${answerPath}?id=`;

  /** Undefined after the timeout. */
  function ask(node: NodeId, timeoutMs: number, send: (url: string) => void): Promise<Uint8Array | undefined> {
    const id = Buffer.from(room.randomBytes(18)).toString("base64url");
    return new Promise((resolve) => {
      const settle = (body: Uint8Array | undefined): void => {
        cancel();
        open.delete(id);
        const left = (perNode.get(node) ?? 1) - 1;
        if (left === 0) {
          perNode.delete(node);
        } else {
          perNode.set(node, left);
        }
        resolve(body);
      };
      const cancel = clock.after(timeoutMs, () => settle(undefined));
      open.set(id, { node, askedAt: clock.now(), finish: settle });
      perNode.set(node, (perNode.get(node) ?? 0) + 1);
      send(base + id);
    });
  }

  function obstacle(node: NodeId): "offline" | "busy" | undefined {
    if (room.sessions.of(node) === undefined) {
      return "offline";
    }
    return (perNode.get(node) ?? 0) >= perNodeLimit ? "busy" : undefined;
  }

  return {
    async c2n(node, request) {
      const failure = obstacle(node);
      if (failure !== undefined) {
        return { ok: false, failure };
      }
      const askedAt = clock.now();
      const timeoutMs = request.timeoutMs ?? defaultTimeoutMs;
      const reply = await ask(node, timeoutMs, (URL) =>
        room.netmap.ping(node, { URL, URLIsNoise: true, Types: "c2n", Payload: payloadOf(request, timeoutMs) }),
      );
      if (reply === undefined) {
        return { ok: false, failure: "timeout" };
      }
      const response = parseNodeResponse(reply);
      return response === undefined
        ? { ok: false, failure: "garbled" }
        : { ok: true, response, elapsedMs: clock.now() - askedAt };
    },
    async probe(node, timeoutMs) {
      const failure = obstacle(node);
      if (failure !== undefined) {
        return { ok: false, failure };
      }
      room.counters.probesSent++;
      const askedAt = clock.now();
      const reply = await ask(node, timeoutMs, (URL) => room.netmap.ping(node, { URL, URLIsNoise: true }));
      if (reply === undefined) {
        room.counters.probesFailed++;
        return { ok: false, failure: "timeout" };
      }
      return { ok: true, elapsedMs: clock.now() - askedAt };
    },
    answer(call, body) {
      const id = call.query.get("id");
      if (id === null || id === "") {
        return textReply(400, "id must be set");
      }
      const question = open.get(id);
      if (question === undefined || room.tailnet.node(question.node)?.machineKey !== call.machineKey) {
        return textReply(404, "unknown id");
      }
      question.finish(body);
      return emptyReply(200, true);
    },
  };
}

/** The request as the HTTP/1.1 text that the client parses, in base64. */
function payloadOf(request: NodeRequest, timeoutMs: number): string {
  const body = request.body ?? new Uint8Array(0);
  const head = [
    `${request.method} ${request.path} HTTP/1.1`,
    "Host: c2n",
    `C2n-Handler-Timeout: ${Math.ceil(timeoutMs / 1000)}s`,
    ...(body.length === 0 ? [] : [`Content-Length: ${body.length}`]),
  ];
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`, "latin1"), body]).toString("base64");
}
