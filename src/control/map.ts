// POST /machine/map (protocol §4): a stream that is told of the tailnet for ever, a lite update that tells the tailnet
// of the node, or a single map. What a stream brings about its node may be stale and is taken only where the server
// has nothing.
import type { MapSessions, MapStreamOptions } from "../netmap/contract.ts";
import type { PresencePatch, Tailnet } from "../tailnet/contract.ts";
import type { Node } from "../tailnet/model.ts";
import type { MapRequest } from "../wire/tailcfg.ts";
import { versionRefusal } from "./client-version.ts";
import type { EdgeReply } from "./edge-link.ts";
import { type Log, shortKey } from "./log.ts";
import type { MachineCall } from "./machine-call.ts";
import type { RateLimit } from "./rate-limit.ts";
import { emptyReply, textReply } from "./reply.ts";

export interface MapRoom {
  readonly tailnet: Tailnet;
  readonly netmap: MapSessions;
  readonly log: Log;
  /** Clients repeat a refused request for ever; one line a minute says so. */
  readonly refusalLines: RateLimit;
}

export type MapAnswer =
  | { readonly kind: "reply"; readonly reply: EdgeReply }
  | { readonly kind: "stream"; readonly options: MapStreamOptions };

export function answerMap(room: MapRoom, call: MachineCall, request: MapRequest): MapAnswer {
  const refusal = versionRefusal(request.Version);
  if (refusal !== undefined) {
    return replyWith(textReply(400, refusal));
  }
  const node = room.tailnet.nodeByKey(request.NodeKey);
  if (node === undefined || node.machineKey !== call.machineKey) {
    // The same answer for both: which keys exist is nobody's business.
    const level = room.refusalLines.take(`map ${call.machineKey}`) === 0 ? "info" : "debug";
    room.log[level](
      { nodeKey: shortKey(request.NodeKey), machine: shortKey(call.machineKey), from: call.source },
      `map request refused: ${node === undefined ? "unknown node key" : "the key belongs to another machine"}`,
    );
    return replyWith(textReply(404, "node not found"));
  }
  if (request.Stream) {
    room.tailnet.updatePresence(node.id, adoptable(node, request));
    return { kind: "stream", options: streamOptions(node, request) };
  }
  if (!request.ReadOnly) {
    room.tailnet.updatePresence(node.id, reported(request));
  }
  if (request.OmitPeers) {
    return replyWith(emptyReply(200, true));
  }
  const message = room.netmap.once(streamOptions(node, request));
  const body = Buffer.concat(message.chunks, message.length);
  return replyWith({ status: 200, contentType: "application/json", body, known: true });
}

function replyWith(reply: EdgeReply): MapAnswer {
  return { kind: "reply", reply };
}

function streamOptions(node: Node, request: MapRequest): MapStreamOptions {
  return {
    node: node.id,
    capVersion: request.Version,
    compress: request.Compress,
    omitPeers: request.OmitPeers,
  };
}

/** Everything a lite update says; the model keeps what must not be overwritten (NetInfo, home region). */
function reported(request: MapRequest): PresencePatch {
  return {
    ...(request.Hostinfo === undefined ? {} : { hostinfo: request.Hostinfo }),
    ...(request.DiscoKey === undefined ? {} : { discoKey: request.DiscoKey }),
    endpoints: request.Endpoints,
    capVersion: request.Version,
  };
}

/** What a stream request may fill in: after a restore or a crash the server may hold less than the client told it. */
function adoptable(node: Node, request: MapRequest): PresencePatch {
  const noHostinfo = Object.keys(node.hostinfo).length === 0;
  return {
    ...(noHostinfo && request.Hostinfo !== undefined ? { hostinfo: request.Hostinfo } : {}),
    ...(node.discoKey === null && request.DiscoKey !== undefined ? { discoKey: request.DiscoKey } : {}),
    ...(node.endpoints.length === 0 && request.Endpoints.length > 0 ? { endpoints: request.Endpoints } : {}),
    capVersion: request.Version,
  };
}
