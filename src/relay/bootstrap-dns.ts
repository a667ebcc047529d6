// /bootstrap-dns (protocol §8.8): the addresses of all relays by name, for clients whose own DNS does not work.
// Answered from memory: names are looked up at most once per lifetime, whoever and however many ask.
import { lookup } from "node:dns/promises";
import type { DERPMap } from "../wire/tailcfg.ts";
import type { RelayClock } from "./clock.ts";
import { addressBytes } from "./source-address.ts";

export type Resolve = (host: string) => Promise<readonly string[]>;

export interface BootstrapDnsOptions {
  readonly derpMap: () => DERPMap;
  readonly hosts: readonly string[];
  readonly clock: RelayClock;
  readonly resolve?: Resolve;
}

const lifetimeMs = 10 * 60_000;
/** How long a request waits for names that are looked up for the first time, ms. */
const patienceMs = 2_000;
const maxHosts = 256;
const atOnce = 8;

/** The JSON text `{"host":["ip",…],…}`. Never rejects; a name that does not resolve is left out. */
export function createBootstrapDns(options: BootstrapDnsOptions): () => Promise<string> {
  const { clock } = options;
  const resolve = options.resolve ?? systemResolve;
  let answer = "{}";
  let answeredFor: DERPMap | undefined;
  let until = -Infinity;
  let refreshing: Promise<void> | undefined;

  async function refresh(map: DERPMap): Promise<void> {
    const known = new Map<string, readonly string[]>();
    const open = new Set(options.hosts);
    for (const region of Object.values(map.Regions)) {
      for (const node of region.Nodes) {
        const literal = [node.IPv4, node.IPv6].filter((ip) => ip !== undefined && addressBytes(ip) !== undefined);
        if (literal.length > 0) {
          known.set(node.HostName, [...(known.get(node.HostName) ?? []), ...literal.filter((ip) => ip !== undefined)]);
        } else {
          open.add(node.HostName);
        }
      }
    }
    const names = [...open].filter((host) => !known.has(host)).slice(0, maxHosts);
    const workers = Array.from({ length: atOnce }, async () => {
      for (let host = names.pop(); host !== undefined; host = names.pop()) {
        const addresses = addressBytes(host) === undefined ? await resolve(host).catch(() => []) : [host];
        if (addresses.length > 0) {
          known.set(host, addresses);
        }
      }
    });
    await Promise.all(workers);
    answer = JSON.stringify(Object.fromEntries([...known].slice(0, maxHosts)));
    answeredFor = map;
    until = clock.now() + lifetimeMs;
  }

  return async () => {
    const map = options.derpMap();
    if (answeredFor === map && clock.now() < until) {
      return answer;
    }
    refreshing ??= refresh(map).finally(() => {
      refreshing = undefined;
    });
    let cancel = (): void => undefined;
    const patience = new Promise<void>((done) => {
      cancel = clock.after(patienceMs, done);
    });
    await Promise.race([refreshing, patience]);
    cancel();
    return answer;
  };
}

async function systemResolve(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map((entry) => entry.address);
}
