// POST /verify (protocol §8.6): a relay elsewhere asks whether a node may use it. Anybody can ask, so questions are few
// per source, small and cheap, and the answer is only yes or no. Doubt is no.
import type { IncomingMessage, ServerResponse } from "node:http";
import { parseNodeKey, type NodeKey } from "../wire/ids.ts";
import type { RelayClock } from "./clock.ts";
import type { RelayCounters } from "./counters.ts";
import { json, text } from "./reply.ts";
import { placeOf } from "./source-address.ts";
import { TokenBucket } from "./token-bucket.ts";

export type Admit = (nodeKey: NodeKey, sourceIp: string) => boolean | Promise<boolean>;

export interface VerifyLimits {
  readonly bodyBytes: number;
  readonly bodyMs: number;
  /** Per asking address, or the /64 of an IPv6 address. A relay that restarts asks for all its clients at once: hence the burst. */
  readonly perSecond: number;
  readonly burst: number;
  /** Asking addresses remembered. */
  readonly sources: number;
}

export const defaultVerifyLimits: VerifyLimits = {
  bodyBytes: 4096,
  bodyMs: 5_000,
  perSecond: 100,
  burst: 1_000,
  sources: 4_096,
};

export interface VerifyOptions {
  readonly admit: Admit;
  readonly limits: VerifyLimits;
  readonly clock: RelayClock;
  readonly counters: RelayCounters;
  readonly sourceIp: (req: IncomingMessage) => string;
}

type Body =
  | { readonly kind: "whole"; readonly bytes: Buffer }
  | { readonly kind: "too-large" }
  | { readonly kind: "cut" };

export function createVerify(options: VerifyOptions): (req: IncomingMessage, res: ServerResponse) => Promise<void> {
  const { admit, limits, clock, counters } = options;
  const buckets = new Map<string, TokenBucket>();

  function mayAsk(source: string): boolean {
    const now = clock.now();
    let bucket = buckets.get(source);
    if (bucket === undefined) {
      if (buckets.size >= limits.sources) {
        forgetIdle(now);
      }
      bucket = new TokenBucket(limits.perSecond, limits.burst, now);
      buckets.set(source, bucket);
    }
    return bucket.take(1, now);
  }

  /** Makes room: buckets that are full again first; if a flood has drained them all, the oldest. */
  function forgetIdle(now: number): void {
    for (const [source, bucket] of buckets) {
      if (bucket.isFull(now)) {
        buckets.delete(source);
      }
    }
    for (const source of buckets.keys()) {
      if (buckets.size < limits.sources) {
        break;
      }
      buckets.delete(source);
    }
  }

  return async (req, res) => {
    res.on("error", () => undefined);
    if (req.method !== "POST") {
      text(res, 405, "only POST", { Allow: "POST" });
      return;
    }
    if (!mayAsk(placeOf(options.sourceIp(req)))) {
      counters.verifyRefused++;
      text(res, 429, "too many questions", { "Retry-After": "1", Connection: "close" });
      return;
    }
    const body = await readBody(req, limits, clock);
    if (body.kind !== "whole") {
      counters.verifyRefused++;
      if (body.kind === "too-large") {
        text(res, 413, "request body too large", { Connection: "close" });
      } else {
        req.destroy();
      }
      return;
    }
    const question = parseQuestion(body.bytes);
    if (question === undefined) {
      counters.verifyRefused++;
      text(res, 400, "Bad Request: invalid JSON");
      return;
    }
    let allowed = false;
    try {
      allowed = await admit(question.nodeKey, question.source);
    } catch {
      allowed = false;
    }
    if (allowed) {
      counters.verifyAllowed++;
    } else {
      counters.verifyDenied++;
    }
    json(res, 200, JSON.stringify({ Allow: allowed }));
  };
}

function readBody(req: IncomingMessage, limits: VerifyLimits, clock: RelayClock): Promise<Body> {
  return new Promise((done) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const finish = (body: Body): void => {
      cancel();
      req.removeAllListeners("data");
      req.pause();
      done(body);
    };
    const cancel = clock.after(limits.bodyMs, () => finish({ kind: "cut" }));
    req.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > limits.bodyBytes) {
        finish({ kind: "too-large" });
      } else {
        chunks.push(chunk);
      }
    });
    req.on("end", () => finish({ kind: "whole", bytes: Buffer.concat(chunks) }));
    req.on("error", () => finish({ kind: "cut" }));
    req.on("close", () => finish({ kind: "cut" }));
  });
}

/** `{"NodePublic":"nodekey:…","Source":"ip"}`; undefined when it is not that. */
function parseQuestion(bytes: Buffer): { readonly nodeKey: NodeKey; readonly source: string } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || !("NodePublic" in value) || typeof value.NodePublic !== "string") {
    return undefined;
  }
  const nodeKey = parseNodeKey(value.NodePublic);
  const source = "Source" in value && typeof value.Source === "string" ? value.Source : "";
  return nodeKey === undefined ? undefined : { nodeKey, source };
}
