// The core half of the node-facing edge: takes whole requests from edges, knows what each path means, answers.
// Every request carries the machine key of its Noise session, and every handler checks that it owns the node it speaks
// of. A request that fails leaves everything as it was.
import type { Clock } from "../identity/clock.ts";
import type { Pending } from "../identity/pending.ts";
import type { MapSessions, SessionId } from "../netmap/contract.ts";
import type { Tailnet } from "../tailnet/contract.ts";
import { decodeMapRequest, decodeRegisterRequest } from "../wire/tailcfg-decode.ts";
import type { ControlCounters } from "./counters.ts";
import type { EdgeHub } from "./edge-hub.ts";
import type { EdgeEvents, EdgeLink, EdgeReply, EdgeRequest, RequestId } from "./edge-link.ts";
import { faultText, type Log } from "./log.ts";
import type { MachineCall } from "./machine-call.ts";
import { answerMap } from "./map.ts";
import { answerPath, createNodeCalls, type NodeCalls } from "./node-calls.ts";
import { createRateLimit } from "./rate-limit.ts";
import { register, type RegisterRoom } from "./register.ts";
import { emptyReply, textReply } from "./reply.ts";
import { createSessions, type Sessions } from "./sessions.ts";
import { sshAction } from "./ssh-action.ts";

export interface ControlCoreOptions {
  readonly tailnet: Tailnet;
  readonly netmap: MapSessions;
  readonly pending: Pending;
  readonly hub: EdgeHub;
  readonly clock: Clock;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly log: Log;
  readonly counters: ControlCounters;
  /** No slash at the end. */
  readonly serverUrl: string;
  /** Machines that may join with a key at the same time. */
  readonly mostJoining?: number;
}

/** A second's work or two. */
const mostJoining = 2000;

export interface ControlCore {
  /** Registers an edge; what it returns is what the edge calls. */
  attach(link: EdgeLink): EdgeEvents;
  readonly calls: NodeCalls;
  readonly sessions: Sessions;
}

type Answer =
  | { readonly kind: "reply"; readonly reply: EdgeReply | undefined }
  | { readonly kind: "stream"; readonly open: (id: RequestId, edge: number) => void };

interface InFlight {
  controller: AbortController | undefined;
  cancelled: boolean;
}

/** Paths that clients know and this server has no use for; they cope with 501. */
const notServed = new Set([
  "/machine/whoami",
  "/machine/set-dns",
  "/machine/set-device-attr",
  "/machine/audit-log",
  "/machine/id-token",
  "/machine/feature/query",
  "/machine/c2n",
]);

export function createControlCore(options: ControlCoreOptions): ControlCore {
  const { tailnet, netmap, pending, hub, clock, log, counters, serverUrl } = options;
  const sessions = createSessions({ tailnet, netmap, hub, counters });
  const calls = createNodeCalls({ ...options, sessions });
  const refusalLines = createRateLimit({ clock, burst: 1, perSecond: 1 / 60 });
  const registerRoom: RegisterRoom = {
    tailnet,
    pending,
    clock,
    log,
    counters,
    serverUrl,
    refusalLines,
    perMachine: createRateLimit({ clock, burst: 20, perSecond: 1 / 3 }),
    perSource: createRateLimit({ clock, burst: 300, perSecond: 5 }),
    joining: { count: 0, most: options.mostJoining ?? mostJoining },
  };
  const mapRoom = { tailnet, netmap, log, refusalLines };
  const sshRoom = { tailnet, pending, clock, log, serverUrl, approvals: new Map<string, number>() };

  // A confirmation was given under the policy of its time.
  tailnet.subscribe(({ changes }) => {
    if (changes.some((change) => change.kind === "policy-replaced")) {
      sshRoom.approvals.clear();
    }
  });

  /** Whoever waits for the answer holds what was read of the body, not the body. */
  function answer(call: MachineCall, body: Uint8Array): Answer | Promise<Answer> {
    switch (call.path) {
      case "/machine/register": {
        if (call.method !== "POST") {
          return replyWith(methodNotAllowed("POST"));
        }
        const request = decodeRegisterRequest(body);
        return request.ok
          ? register(registerRoom, call, request.value).then(replyWith)
          : replyWith(badRequest(call, request.error));
      }
      case "/machine/map": {
        if (call.method !== "POST") {
          return replyWith(methodNotAllowed("POST"));
        }
        const request = decodeMapRequest(body);
        if (!request.ok) {
          return replyWith(badRequest(call, request.error));
        }
        const outcome = answerMap(mapRoom, call, request.value);
        if (outcome.kind === "reply") {
          return outcome;
        }
        return {
          kind: "stream",
          open(id, edge) {
            const session = hub.newSession(edge);
            sessions.open(session, outcome.options, () => links[edge]?.openStream(id, session));
          },
        };
      }
      case answerPath:
        return replyWith(calls.answer(call, body));
      case "/machine/update-health":
        // Nothing is done with it; a 2xx keeps old clients from repeating it.
        return replyWith(emptyReply(204, false));
      default:
        if (call.path.startsWith("/machine/ssh/action/")) {
          return sshAction(sshRoom, call).then(replyWith);
        }
        if (
          notServed.has(call.path) ||
          call.path.startsWith("/machine/tka/") ||
          call.path.startsWith("/machine/webclient/")
        ) {
          return replyWith(textReply(501, "not implemented by this server"));
        }
        return replyWith(textReply(404, "not found"));
    }
  }

  function badRequest(call: MachineCall, reason: string): EdgeReply {
    log.info({ path: call.path, from: call.source }, `request refused: ${reason}`);
    return textReply(400, reason);
  }

  const links: EdgeLink[] = [];

  function attach(link: EdgeLink): EdgeEvents {
    const edge = hub.attach(link);
    links[edge] = link;
    const inFlight = new Map<RequestId, InFlight>();

    /** Not async: its frame would hold the request, and with it the body, for as long as the answer takes. */
    function begin(request: EdgeRequest, state: InFlight): Promise<Answer> {
      const signal = (): AbortSignal => {
        state.controller ??= new AbortController();
        if (state.cancelled) {
          state.controller.abort();
        }
        return state.controller.signal;
      };
      return Promise.try(answer, callOf(request, signal), request.body);
    }

    async function serve(id: RequestId, path: string, state: InFlight, answering: Promise<Answer>): Promise<void> {
      let outcome: Answer;
      try {
        outcome = await answering;
      } catch (error) {
        log.error({ path, error: faultText(error) }, "a request failed by a fault of the server");
        outcome = replyWith(textReply(500, "internal error"));
      }
      inFlight.delete(id);
      if (state.cancelled) {
        return;
      }
      if (outcome.kind === "stream") {
        outcome.open(id, edge);
        return;
      }
      const reply = outcome.reply ?? textReply(500, "internal error");
      if (reply.status >= 400) {
        counters.requestsRefused++;
      }
      link.reply(id, reply);
    }

    return {
      request(request) {
        counters.requests++;
        const state: InFlight = { controller: undefined, cancelled: false };
        inFlight.set(request.id, state);
        void serve(request.id, request.path, state, begin(request, state));
      },
      cancelled(id) {
        const state = inFlight.get(id);
        if (state !== undefined) {
          state.cancelled = true;
          state.controller?.abort();
        }
      },
      blocked(session: SessionId) {
        counters.streamsBlocked++;
        netmap.blocked(session);
      },
      drained: (session) => netmap.drained(session),
      closed: (session) => sessions.closed(session),
    };
  }

  return { attach, calls, sessions };
}

function replyWith(reply: EdgeReply | undefined): { readonly kind: "reply"; readonly reply: EdgeReply | undefined } {
  return { kind: "reply", reply };
}

function methodNotAllowed(allowed: string): EdgeReply {
  return { ...textReply(405, "method not allowed"), headers: [["allow", allowed]] };
}

function callOf(request: EdgeRequest, signal: () => AbortSignal): MachineCall {
  const mark = request.path.indexOf("?");
  return {
    machineKey: request.machineKey,
    capVersion: request.capVersion,
    source: request.source,
    method: request.method,
    path: mark === -1 ? request.path : request.path.slice(0, mark),
    query: new URLSearchParams(mark === -1 ? "" : request.path.slice(mark + 1)),
    signal,
  };
}
