// The DERP map that clients are told: regions from the configured sources in order, a later one winning per region and
// null taking a region away, and the embedded relay's region last. A source that fails keeps what it gave last, across
// restarts too; nothing here ever stops the server from starting.
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { DERPMap, DERPNode, DERPRegion } from "../wire/tailcfg.ts";
import { systemClock, type RelayClock } from "./clock.ts";
import { parseDerpMap, parsePolicyDerpMap, type RegionChanges } from "./derp-map-schema.ts";
import { loadSource, sourceName, type MapSource, type SourceOutcome } from "./derp-map-sources.ts";
import { silentLog, type RelayLog } from "./log.ts";
import { addressBytes } from "./source-address.ts";

export interface EmbeddedRegion {
  /** The server's own URL: its host is the relay's, and its port where the relay has none of its own. */
  readonly serverUrl: string;
  readonly regionId: number;
  readonly regionCode: string;
  readonly regionName: string;
  /** Literal addresses that spare clients the lookup. */
  readonly ipv4?: string;
  readonly ipv6?: string;
  /** UDP port of STUN; absent: no STUN. */
  readonly stunPort?: number;
  /** The relay's own TLS listener. Absent: the relay is behind the server URL itself, which must then be https. */
  readonly pinned?: { readonly port: number; readonly pin: string };
}

/** The region of the relay inside this server. */
export function embeddedRegion(embedded: EmbeddedRegion): DERPRegion {
  const url = new URL(embedded.serverUrl);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const literal = addressBytes(host)?.length;
  // A literal address leaves nothing to look up for the other family: clients then wait for no answer from there.
  const ipv4 = embedded.ipv4 || (literal === 4 ? host : literal === 16 ? "none" : "");
  const ipv6 = embedded.ipv6 || (literal === 16 ? host : literal === 4 ? "none" : "");
  const port = embedded.pinned?.port ?? (url.port === "" ? defaultPort(url.protocol) : Number(url.port));
  const node: DERPNode = {
    Name: `${embedded.regionId}a`,
    RegionID: embedded.regionId,
    HostName: host,
    ...(embedded.pinned === undefined ? {} : { CertName: embedded.pinned.pin }),
    ...(ipv4 === "" ? {} : { IPv4: ipv4 }),
    ...(ipv6 === "" ? {} : { IPv6: ipv6 }),
    // Absent would mean 3478 (protocol §4.8).
    STUNPort: embedded.stunPort ?? -1,
    DERPPort: port,
  };
  return {
    RegionID: embedded.regionId,
    RegionCode: embedded.regionCode,
    RegionName: embedded.regionName,
    Nodes: [node],
  };
}

function defaultPort(protocol: string): number {
  return protocol === "http:" ? 80 : 443;
}

/** Merges sources in order (headscale §7.10). */
export function mergeRegions(sources: readonly RegionChanges[]): DERPMap {
  const merged = new Map<number, DERPRegion>();
  for (const source of sources) {
    for (const [id, region] of source) {
      if (region === null) {
        merged.delete(id);
      } else {
        merged.set(id, region);
      }
    }
  }
  return { Regions: Object.fromEntries([...merged].sort(([a], [b]) => a - b)) };
}

/**
 * The map with what the policy says of it (Tailscale's `derpMap`): its regions stand beside the others or in their place,
 * null takes one away, and with `OmitDefaultRegions` the policy's are the only ones. A policy that would leave no region
 * at all takes none away: without a relay clients could not even be told better.
 */
export function withPolicyRegions(map: DERPMap, said: unknown): DERPMap {
  if (said === undefined) {
    return map;
  }
  const { regions, omitDefaultRegions } = parsePolicyDerpMap(said);
  const others: RegionChanges = new Map(Object.entries(map.Regions).map(([id, region]) => [Number(id), region]));
  const merged = mergeRegions(omitDefaultRegions ? [regions] : [others, regions]);
  return Object.keys(merged.Regions).length === 0 ? map : { ...map, ...merged };
}

export interface DerpMapOptions {
  readonly urls: readonly string[];
  readonly paths: readonly string[];
  /** Asked at each building, as its pin may change; undefined: no embedded relay in the map. */
  readonly embedded?: () => DERPRegion | undefined;
  /** What the policy in force says of the map, if anything; asked at each building. */
  readonly policy?: () => unknown;
  /** Where the last good answer of each source is kept. */
  readonly keepFile: string;
  /** How often sources are read again, ms; 0 never. */
  readonly refreshMs: number;
  /** Called with each map that differs from the one before. */
  readonly onChange?: (map: DERPMap) => void;
  readonly clock?: RelayClock;
  readonly log?: RelayLog;
  /** Reads a source; tests pass their own. */
  readonly load?: (source: MapSource) => Promise<SourceOutcome>;
}

export interface DerpMapKeeper {
  /** The same object until it changes. */
  current(): DERPMap;
  /** What is wrong with the sources as last read; for logs and health. */
  problems(): readonly string[];
  /** Reads all sources again. */
  refresh(): Promise<void>;
  /** Builds anew from what is known, as when the embedded relay's pin or the policy has changed. */
  rebuild(): void;
  close(): void;
}

/** How long the start waits for slow sources, ms; they are taken in when they answer. */
const startPatienceMs = 3_000;
/** A source that failed is asked again after this, then after twice as long, up to the regular refresh. */
const firstRetryMs = 10_000;
const lastRetryMs = 10 * 60_000;

/** Loads what there is and keeps it fresh. Resolves however many sources fail or hang. */
export async function createDerpMap(options: DerpMapOptions): Promise<DerpMapKeeper> {
  const clock = options.clock ?? systemClock;
  const log = options.log ?? silentLog;
  const load = options.load ?? loadSource;
  const sources: readonly MapSource[] = [
    ...options.urls.map((url) => ({ kind: "url", url }) as const),
    ...options.paths.map((path) => ({ kind: "file", path }) as const),
  ];
  const good = await readKept(options.keepFile, sources.map(sourceName));
  let problems: readonly string[] = [];
  let map: DERPMap = { Regions: {} };
  let text = JSON.stringify(map);
  let refreshing: Promise<void> | undefined;
  let retryMs = firstRetryMs;
  let cancelRetry = (): void => undefined;
  let closed = false;

  function rebuild(): void {
    const embedded = options.embedded?.();
    const own: RegionChanges = new Map(embedded === undefined ? [] : [[embedded.RegionID, embedded]]);
    const ours = mergeRegions([...sources.map((source) => good.get(sourceName(source)) ?? new Map()), own]);
    const next = withPolicyRegions(ours, options.policy?.());
    const nextText = JSON.stringify(next);
    if (nextText !== text) {
      map = next;
      text = nextText;
      options.onChange?.(map);
    }
  }

  async function readAll(): Promise<void> {
    const found: string[] = [];
    const outcomes = await Promise.all(sources.map(load));
    for (const [i, outcome] of outcomes.entries()) {
      const source = sources[i];
      found.push(...outcome.problems);
      if (outcome.kind === "loaded" && source !== undefined) {
        good.set(sourceName(source), outcome.regions);
      }
    }
    rebuild();
    if (Object.keys(map.Regions).length === 0) {
      found.push("the DERP map is empty: clients have no relay and will not connect until there is one");
    }
    for (const problem of found) {
      if (!problems.includes(problem)) {
        log("warn", `DERP map: ${problem}`);
      }
    }
    problems = found;
    planRetry(outcomes.some((outcome) => outcome.kind === "failed"));
    if (sources.length > 0 && outcomes.some((outcome) => outcome.kind === "loaded")) {
      await writeKept(options.keepFile, good).catch((error: unknown) => {
        log("warn", "DERP map: the last good map could not be kept", { error: String(error) });
      });
    }
  }

  function refresh(): Promise<void> {
    refreshing ??= readAll().finally(() => {
      refreshing = undefined;
    });
    return refreshing;
  }

  function planRetry(failed: boolean): void {
    cancelRetry();
    if (failed && !closed) {
      cancelRetry = clock.after(retryMs, () => void refresh());
      retryMs = Math.min(2 * retryMs, lastRetryMs);
    } else {
      retryMs = firstRetryMs;
    }
  }

  // What was kept is there at once; a source that hangs holds up the start only for a moment.
  rebuild();
  let stopWaiting = (): void => undefined;
  const patience = new Promise<void>((done) => {
    stopWaiting = clock.after(startPatienceMs, done);
  });
  await Promise.race([refresh(), patience]);
  stopWaiting();
  const stop =
    options.refreshMs > 0 && sources.length > 0 ? clock.every(options.refreshMs, () => void refresh()) : undefined;
  return {
    current: () => map,
    problems: () => problems,
    refresh,
    rebuild,
    close() {
      closed = true;
      stop?.();
      cancelRetry();
    },
  };
}

/** `{source name: {Regions: …}}`. What cannot be read is as good as never kept. */
async function readKept(file: string, names: readonly string[]): Promise<Map<string, RegionChanges>> {
  const kept = new Map<string, RegionChanges>();
  try {
    const value: unknown = JSON.parse(await readFile(file, "utf8"));
    if (typeof value === "object" && value !== null) {
      for (const [name, map] of Object.entries(value)) {
        if (names.includes(name)) {
          kept.set(name, parseDerpMap(map).regions);
        }
      }
    }
  } catch {
    return kept;
  }
  return kept;
}

async function writeKept(file: string, good: ReadonlyMap<string, RegionChanges>): Promise<void> {
  const value = Object.fromEntries(
    [...good].map(([name, regions]) => [name, { Regions: Object.fromEntries(regions) }] as const),
  );
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.new`, JSON.stringify(value));
  await rename(`${file}.new`, file);
}
