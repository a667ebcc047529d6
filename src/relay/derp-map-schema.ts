// DERP maps from outside, YAML files and JSON, to the wire's DERPMap regions (protocol §4.8, headscale's derp.yaml).
// Field names are taken whatever their case. What is wrong is named by its place, and only the region it is in is lost.
import * as z from "zod";
import type { DERPNode, DERPRegion } from "../wire/tailcfg.ts";
import { addressBytes } from "./source-address.ts";

/** Regions of one source; null takes away what an earlier source has said. */
export type RegionChanges = ReadonlyMap<number, DERPRegion | null>;

export interface MapProblem {
  /** "regions.900.nodes.0.hostname"; "" is the whole. */
  readonly key: string;
  readonly problem: string;
}

export interface ParsedMap {
  readonly regions: RegionChanges;
  readonly problems: readonly MapProblem[];
}

const maxRegions = 1024;
const maxNodes = 64;

const name = z.string().min(1).max(253);
const port = z.int().min(0).max(65535);

const addressOf = (family: 4 | 6) =>
  z.string().refine((ip) => ip === "" || ip === "none" || addressBytes(ip)?.length === (family === 4 ? 4 : 16), {
    error: `must be an IPv${family} address, "none" or empty`,
  });

/** Lower-cased Go names. Every optional field may be null, as Go writes and YAML's empty value reads. */
const nodeSchema = z.object({
  name: name.nullish(),
  regionid: z.int().nullish(),
  hostname: name,
  certname: z.string().max(253).nullish(),
  ipv4: addressOf(4).nullish(),
  ipv6: addressOf(6).nullish(),
  stunport: z.int().min(-1).max(65535).nullish(),
  stunonly: z.boolean().nullish(),
  derpport: port.nullish(),
  insecurefortests: z.boolean().nullish(),
  stuntestip: z.string().nullish(),
  canport80: z.boolean().nullish(),
});

const regionSchema = z.object({
  regionid: z.int().min(1).nullish(),
  regioncode: z.string().max(64).nullish(),
  regionname: z.string().max(253).nullish(),
  latitude: z.number().nullish(),
  longitude: z.number().nullish(),
  avoid: z.boolean().nullish(),
  nomeasurenohome: z.boolean().nullish(),
  nodes: z.array(nodeSchema).min(1, "a region needs at least one node").max(maxNodes),
});

type Node = z.infer<typeof nodeSchema>;
type Region = z.infer<typeof regionSchema>;

const nodeKeys = new Set(Object.keys(nodeSchema.shape));
const regionKeys = new Set(Object.keys(regionSchema.shape));
const policyKeys = new Set(["regions", "omitdefaultregions"]);

/** Reads `{Regions: {id: region | null}}` as parsed from YAML or JSON. Fields we do not know are problems, not losses. */
export function parseDerpMap(value: unknown): ParsedMap {
  const problems: MapProblem[] = [];
  const regions = new Map<number, DERPRegion | null>();
  const top = lowerKeys(value);
  const list = top?.["regions"];
  const entries = list === null || list === undefined ? [] : Object.entries(lowerKeys(list) ?? {});
  if (top === undefined || (list !== null && list !== undefined && lowerKeys(list) === undefined)) {
    return { regions, problems: [{ key: "regions", problem: "must be a map from region id to region" }] };
  }
  if (list === undefined) {
    problems.push({ key: "regions", problem: "is missing" });
  }
  if (entries.length > maxRegions) {
    return { regions, problems: [{ key: "regions", problem: `has more than ${maxRegions} entries` }] };
  }
  for (const [idText, raw] of entries) {
    const key = `regions.${idText}`;
    const id = Number(idText);
    if (!/^[1-9]\d{0,8}$/.test(idText)) {
      problems.push({ key, problem: "a region id is a whole number above 0" });
    } else if (raw === null) {
      regions.set(id, null);
    } else {
      const region = parseRegion(id, key, raw, problems);
      if (region !== undefined) {
        regions.set(id, region);
      }
    }
  }
  return { regions, problems };
}

/** What a policy says of the map (Tailscale's `derpMap`): regions to add, replace or (null) take away, and whether others stay. */
export interface PolicyDerpMap extends ParsedMap {
  readonly omitDefaultRegions: boolean;
}

/** Reads a policy's `{Regions, OmitDefaultRegions}`; either may be missing. */
export function parsePolicyDerpMap(value: unknown): PolicyDerpMap {
  const fields = lowerKeys(value) ?? {};
  const { regions, problems } = parseDerpMap({ regions: fields["regions"] ?? {} });
  const found = [...problems];
  const omit = fields["omitdefaultregions"] ?? false;
  if (typeof omit !== "boolean") {
    found.push({ key: "omitdefaultregions", problem: "must be true or false" });
  }
  noteUnknown(fields, policyKeys, "", found);
  return { regions, problems: found, omitDefaultRegions: omit === true };
}

function parseRegion(id: number, key: string, raw: unknown, problems: MapProblem[]): DERPRegion | undefined {
  const lowered = lowerKeys(raw);
  if (lowered !== undefined) {
    noteUnknown(lowered, regionKeys, key, problems);
    const nodes = lowered["nodes"];
    if (Array.isArray(nodes)) {
      lowered["nodes"] = nodes.map((node: unknown, i) => {
        const fields = lowerKeys(node);
        if (fields !== undefined) {
          noteUnknown(fields, nodeKeys, `${key}.nodes.${i}`, problems);
        }
        return fields ?? node;
      });
    }
  }
  const parsed = regionSchema.safeParse(lowered ?? raw);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      problems.push({ key: [key, ...issue.path.map(String)].join("."), problem: issue.message });
    }
    return undefined;
  }
  if ((parsed.data.regionid ?? id) !== id) {
    problems.push({ key: `${key}.regionid`, problem: `is ${parsed.data.regionid}, but the region stands under ${id}` });
    return undefined;
  }
  return toRegion(id, parsed.data);
}

function toRegion(id: number, region: Region): DERPRegion {
  return {
    RegionID: id,
    RegionCode: region.regioncode || String(id),
    RegionName: region.regionname || region.regioncode || String(id),
    ...(region.latitude ? { Latitude: region.latitude } : {}),
    ...(region.longitude ? { Longitude: region.longitude } : {}),
    ...(region.avoid ? { Avoid: true } : {}),
    ...(region.nomeasurenohome ? { NoMeasureNoHome: true } : {}),
    Nodes: region.nodes.map((node, i) => toNode(id, i, node)),
  };
}

/** Values that mean the default are left out, as Go leaves them out. */
function toNode(regionId: number, index: number, node: Node): DERPNode {
  return {
    Name: node.name || `${regionId}${String.fromCharCode(97 + (index % 26))}`,
    RegionID: regionId,
    HostName: node.hostname,
    ...(node.certname ? { CertName: node.certname } : {}),
    ...(node.ipv4 ? { IPv4: node.ipv4 } : {}),
    ...(node.ipv6 ? { IPv6: node.ipv6 } : {}),
    ...(node.stunport ? { STUNPort: node.stunport } : {}),
    ...(node.stunonly ? { STUNOnly: true } : {}),
    ...(node.derpport ? { DERPPort: node.derpport } : {}),
    ...(node.insecurefortests ? { InsecureForTests: true } : {}),
    ...(node.canport80 ? { CanPort80: true } : {}),
  };
}

function noteUnknown(
  fields: Readonly<Record<string, unknown>>,
  known: ReadonlySet<string>,
  key: string,
  problems: MapProblem[],
): void {
  for (const field of Object.keys(fields)) {
    if (!known.has(field)) {
      problems.push({ key: key === "" ? field : `${key}.${field}`, problem: "is no field of a DERP map" });
    }
  }
}

/** The fields of a map under lower-cased names; undefined when it is no map. */
function lowerKeys(value: unknown): Record<string, unknown> | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return undefined;
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key.toLowerCase(), item]));
}
