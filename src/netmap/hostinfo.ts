// What of a node's Hostinfo others are told (protocol §4.7, quirk 43): a few fields, each checked and bounded, because one
// value of the wrong type makes every client that hears of it drop the whole message.
import type { Hostinfo, Json, Service } from "../wire/tailcfg.ts";

/** Services that say where a node's PeerAPI listens. */
const peerApi: ReadonlySet<string> = new Set(["peerapi4", "peerapi6", "peerapi-dns-proxy"]);
const maxServices = 8;
const maxSshHostKeys = 10;
/** Characters of all ssh host keys together; an RSA-4096 key has about 730. */
const maxSshHostKeysLength = 4096;
const maxText = 256;

/** For peers: what they need to show the node, reach its PeerAPI and know its ssh server. */
export function peerHostinfo(info: Hostinfo): Hostinfo {
  const services = peerServices(info.Services);
  const keys = sshKeys(info.sshHostKeys);
  const location = locationOf(info.Location);
  return {
    ...(info.OS === undefined ? {} : { OS: info.OS.slice(0, maxText) }),
    ...(info.Hostname === undefined ? {} : { Hostname: info.Hostname.slice(0, maxText) }),
    ...(services.length === 0 ? {} : { Services: services }),
    ...(keys.length === 0 ? {} : { sshHostKeys: keys }),
    ...(location === undefined ? {} : { Location: location }),
    ...(info.AppConnector === undefined ? {} : { AppConnector: info.AppConnector }),
  };
}

/** For the node itself: what it told us and its own programs look up again. */
export function selfHostinfo(info: Hostinfo): Hostinfo {
  const services = peerServices(info.Services);
  return {
    ...(info.OS === undefined ? {} : { OS: info.OS.slice(0, maxText) }),
    ...(info.Hostname === undefined ? {} : { Hostname: info.Hostname.slice(0, maxText) }),
    ...(services.length === 0 ? {} : { Services: services }),
    ...(info.RoutableIPs === undefined ? {} : { RoutableIPs: info.RoutableIPs }),
    ...(info.RequestTags === undefined ? {} : { RequestTags: info.RequestTags }),
  };
}

function peerServices(services: readonly Service[] | undefined): readonly Service[] {
  return (services ?? [])
    .filter(({ Proto, Port }) => peerApi.has(Proto) && Number.isInteger(Port) && Port >= 0 && Port <= 65535)
    .slice(0, maxServices)
    .map(({ Proto, Port }) => ({ Proto, Port }));
}

function sshKeys(keys: readonly string[] | undefined): readonly string[] {
  const kept: string[] = [];
  let length = 0;
  for (const key of keys ?? []) {
    length += key.length;
    if (kept.length === maxSshHostKeys || length > maxSshHostKeysLength) {
      break;
    }
    kept.push(key);
  }
  return kept;
}

const locationTexts = ["Country", "CountryCode", "City", "CityCode"] as const;
const locationNumbers = ["Latitude", "Longitude"] as const;

function locationOf(value: Json | undefined): Json | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return undefined;
  }
  const given = value as Readonly<Record<string, Json>>;
  const location: Record<string, Json> = {};
  for (const name of locationTexts) {
    const text = given[name];
    if (typeof text === "string" && text.length <= maxText) {
      location[name] = text;
    }
  }
  for (const name of locationNumbers) {
    const number = given[name];
    if (typeof number === "number" && Number.isFinite(number)) {
      location[name] = number;
    }
  }
  const priority = given["Priority"];
  // Larger ones are written with an exponent, or do not fit what clients read them into.
  if (typeof priority === "number" && Number.isSafeInteger(priority)) {
    location["Priority"] = priority;
  }
  return Object.keys(location).length === 0 ? undefined : location;
}
