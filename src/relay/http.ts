// The relay's plain requests (protocol §8.8, §9): probes, captive-portal check, DNS bootstrap, and /verify for relays
// that run elsewhere. Mounted by whoever owns a listener: each call says whether the request was one of these.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { DERPMap } from "../wire/tailcfg.ts";
import { createBootstrapDns, type Resolve } from "./bootstrap-dns.ts";
import { systemClock, type RelayClock } from "./clock.ts";
import { createRelayCounters, type RelayCounters } from "./counters.ts";
import { json, text } from "./reply.ts";
import { canonicalAddress } from "./source-address.ts";
import { createVerify, defaultVerifyLimits, type Admit, type VerifyLimits } from "./verify.ts";

export interface RelayHttpOptions {
  /** The DERP map as it is now. */
  readonly derpMap: () => DERPMap;
  /** Answers /verify; without it there is no /verify. */
  readonly admit?: Admit;
  readonly verifyLimits?: Partial<VerifyLimits>;
  /** Further names that /bootstrap-dns knows: the control server's own. */
  readonly bootstrapHosts?: readonly string[];
  readonly resolve?: Resolve;
  readonly sourceIp?: (req: IncomingMessage) => string;
  readonly clock?: RelayClock;
  readonly counters?: RelayCounters;
}

/** True when the request was answered (or will be), false when it is somebody else's. */
export type RelayHttpHandler = (req: IncomingMessage, res: ServerResponse) => boolean;

const challengePattern = /^[A-Za-z0-9._:-]{1,64}$/;
const noStore = "no-cache, no-store, must-revalidate, no-transform, max-age=0";

export function createRelayHttp(options: RelayHttpOptions): RelayHttpHandler {
  const clock = options.clock ?? systemClock;
  const counters = options.counters ?? createRelayCounters();
  const bootstrap = createBootstrapDns({
    derpMap: options.derpMap,
    hosts: options.bootstrapHosts ?? [],
    clock,
    ...(options.resolve === undefined ? {} : { resolve: options.resolve }),
  });
  const verify =
    options.admit &&
    createVerify({
      admit: options.admit,
      limits: { ...defaultVerifyLimits, ...options.verifyLimits },
      clock,
      counters,
      sourceIp: options.sourceIp ?? ((req) => canonicalAddress(req.socket.remoteAddress ?? "")),
    });
  return (req, res) => {
    switch ((req.url ?? "").split("?", 1)[0] ?? "") {
      case "/derp":
      case "/derp/":
        text(res, 426, "DERP requires connection upgrade", { Upgrade: "DERP", Connection: "Upgrade" });
        return true;
      case "/derp/probe":
      case "/derp/latency-check":
        probe(req, res);
        return true;
      case "/generate_204":
        generate204(req, res);
        return true;
      case "/bootstrap-dns":
        void bootstrap().then((body) => json(res, 200, body));
        return true;
      case "/verify":
        if (verify === undefined) {
          return false;
        }
        void verify(req, res);
        return true;
      default:
        return false;
    }
  };
}

function probe(req: IncomingMessage, res: ServerResponse): void {
  if (req.method === "GET" || req.method === "HEAD") {
    res.writeHead(200, { "Access-Control-Allow-Origin": "*", "Content-Length": "0" }).end();
  } else {
    text(res, 405, "only GET and HEAD", { Allow: "GET, HEAD" });
  }
}

/** Whoever gets the echo knows that no portal has answered in our place. */
function generate204(req: IncomingMessage, res: ServerResponse): void {
  const challenge = req.headers["x-tailscale-challenge"];
  const echo =
    typeof challenge === "string" && challengePattern.test(challenge)
      ? { "X-Tailscale-Response": `response ${challenge}` }
      : {};
  res.writeHead(204, { "Cache-Control": noStore, ...echo }).end();
}
