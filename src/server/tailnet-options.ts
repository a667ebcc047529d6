// What the configuration and the machine say of a tailnet, whether a server runs it or a command mends it.
import type { Config } from "../config/config.ts";
import type { TailnetOptions } from "../tailnet/options.ts";
import { secretTools } from "./secret-tools.ts";

export type ConfiguredTailnet = Pick<
  TailnetOptions,
  "now" | "secrets" | "prefixV4" | "prefixV6" | "allocation" | "ephemeralTimeout" | "baseDomain"
>;

export function configuredTailnet({ prefixes, node, dns }: Config): ConfiguredTailnet {
  return {
    now: () => Date.now(),
    secrets: secretTools,
    prefixV4: prefixes.v4,
    prefixV6: prefixes.v6,
    allocation: prefixes.allocation,
    ephemeralTimeout: node.ephemeral.inactivityTimeout,
    baseDomain: dns.baseDomain,
  };
}
