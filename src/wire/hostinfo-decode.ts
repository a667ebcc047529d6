// Hostinfo and NetInfo as clients send them (protocol §4.7). What peers will be told is checked as strictly as their
// decoders will check it, for one malformed value there discards a whole map; what is merely kept is only bounded.
import { formatPrefix, parsePrefix } from "../ip/index.ts";
import type { FieldReader } from "./json-fields.ts";
import type { Hostinfo, Json, NetInfo, PrefixText, Service } from "./tailcfg.ts";

/** Bytes of JSON of one Hostinfo, its routes apart. */
export const hostinfoLimit = 65_536;
const routesLimit = 4096;
const tagsLimit = 256;
const tagLimit = 256;
const servicesKept = 512;
const servicesLimit = 16_384;
const hostKeysLimit = 32;
const hostKeyLimit = 8192;
const textLimit = 1024;
const latenciesLimit = 4096;

const texts = [
  "IPNVersion",
  "OS",
  "OSVersion",
  "Hostname",
  "DeviceModel",
  "Distro",
  "GoArch",
  "App",
  "Package",
  "ServicesHash",
  "ExitNodeID",
] as const;
const hostFlags = [
  "ShieldsUp",
  "WireIngress",
  "IngressEnabled",
  "PeerRelay",
  "AppConnector",
  "StateEncrypted",
] as const;
const known = new Set(
  [...texts, ...hostFlags, "RoutableIPs", "RequestTags", "Services", "sshHostKeys", "NetInfo", "Location"].map((name) =>
    name.toLowerCase(),
  ),
);

type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

/** Reads a Hostinfo; absent fields stay absent. Problems are noted with the reader. */
export function readHostinfo(fields: FieldReader): Hostinfo {
  const host: Writable<Hostinfo> = {};
  for (const name of texts) {
    const text = fields.text(name, textLimit);
    if (text !== "") {
      host[name] = text;
    }
  }
  for (const name of hostFlags) {
    const flag = fields.flag(name);
    if (flag !== undefined) {
      host[name] = flag;
    }
  }
  readLists(fields, host);
  const netInfo = fields.object("NetInfo");
  if (netInfo !== undefined) {
    host.NetInfo = readNetInfo(netInfo);
  }
  const location = fields.raw("Location");
  if (location !== undefined) {
    host.Location = location;
  }
  const extra = fields.others(known);
  if (extra !== undefined) {
    host.extra = extra;
  }
  return withinLimit(fields, host);
}

function readLists(fields: FieldReader, host: Writable<Hostinfo>): void {
  const routes = fields.texts("RoutableIPs", routesLimit, 64);
  if (routes.length > 0) {
    host.RoutableIPs = routes.flatMap((text) => readRoute(fields, text));
  }
  const tags = fields.texts("RequestTags", tagsLimit, tagLimit);
  if (tags.length > 0) {
    host.RequestTags = tags;
  }
  const services = fields.list("Services", servicesLimit);
  if (services.length > 0) {
    host.Services = mostUseful(services.flatMap((item) => readService(fields, item)));
  }
  const hostKeys = fields.texts("sshHostKeys", hostKeysLimit, hostKeyLimit);
  if (hostKeys.length > 0) {
    host.sshHostKeys = hostKeys;
  }
}

/** The canonical text of a route; `""` is a zero prefix and says nothing. */
function readRoute(fields: FieldReader, text: string): readonly PrefixText[] {
  if (text === "") {
    return [];
  }
  const prefix = parsePrefix(text);
  if (prefix === undefined) {
    fields.fail("RoutableIPs", "an item is not a prefix");
    return [];
  }
  return [formatPrefix(prefix)];
}

function readService(host: FieldReader, item: Json): readonly Service[] {
  const fields = host.item("Services", item);
  if (fields === undefined) {
    return [];
  }
  const service = { Proto: fields.text("Proto", 64), Port: fields.integer("Port", 0, 65_535) ?? 0 };
  const description = fields.text("Description", textLimit);
  return [description === "" ? service : { ...service, Description: description }];
}

/** A machine may listen on thousands of ports; its peer API, which others need, comes last in the list. */
function mostUseful(services: readonly Service[]): readonly Service[] {
  if (services.length <= servicesKept) {
    return services;
  }
  const isPeerApi = (service: Service): boolean => service.Proto.startsWith("peerapi");
  const others = services.filter((service) => !isPeerApi(service));
  const peerApi = services.filter(isPeerApi).slice(0, servicesKept);
  return [...others.slice(0, servicesKept - peerApi.length), ...peerApi];
}

const netFlags = [
  "MappingVariesByDestIP",
  "WorkingIPv6",
  "OSHasIPv6",
  "WorkingUDP",
  "WorkingICMPv4",
  "HavePortMap",
  "UPnP",
  "PMP",
  "PCP",
] as const;

function readNetInfo(fields: FieldReader): NetInfo {
  const info: Writable<NetInfo> = {};
  for (const name of netFlags) {
    const flag = fields.flag(name);
    if (flag !== undefined) {
      info[name] = flag;
    }
  }
  const home = fields.integer("PreferredDERP", 0, 2 ** 31 - 1);
  if (home !== undefined) {
    info.PreferredDERP = home;
  }
  for (const name of ["LinkType", "FirewallMode"] as const) {
    const text = fields.text(name, 64);
    if (text !== "") {
      info[name] = text;
    }
  }
  const latencies = fields.object("DERPLatency")?.others(noneKnown);
  if (latencies !== undefined) {
    info.DERPLatency = readLatencies(fields, latencies);
  }
  return info;
}

const noneKnown: ReadonlySet<string> = new Set();

function readLatencies(fields: FieldReader, latencies: Readonly<Record<string, Json>>): Record<string, number> {
  const entries = Object.entries(latencies);
  const seconds: Record<string, number> = {};
  for (const [region, value] of entries.length > latenciesLimit ? [] : entries) {
    if (typeof value !== "number") {
      fields.fail("DERPLatency", "an entry is not a number");
      break;
    }
    seconds[region] = value;
  }
  if (entries.length > latenciesLimit) {
    fields.fail("DERPLatency", `more than ${latenciesLimit} entries`);
  }
  return seconds;
}

/** Written out, a value is longer than it came (`{}` of a service, `1e20`), but by less than this factor. */
const mostGrowth = 16;

function withinLimit(fields: FieldReader, host: Hostinfo): Hostinfo {
  if (fields.documentLength <= hostinfoLimit / mostGrowth) {
    return host;
  }
  const { RoutableIPs: _bounded, ...measured } = host;
  if (Buffer.byteLength(JSON.stringify(measured)) > hostinfoLimit) {
    fields.failWhole(`larger than ${hostinfoLimit} bytes`);
    return {};
  }
  return host;
}
