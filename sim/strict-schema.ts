// What Go's decoder accepts where official clients decode a MapResponse (protocol §0, §4.4–4.10): one value of another
// shape, and the whole message is dropped. Names that clients do not know are faults here too, for they are typos.
import { equalAddr, parseAddr, parsePrefix, parseRange, prefixFirst } from "../src/ip/index.ts";
import { parseTime } from "../src/wire/time.ts";
import { canonicalAddrPort } from "../src/wire/tailcfg-decode.ts";

/** Adds what is wrong with a value at a place. Null is fine everywhere: Go leaves the zero value. */
export type Check = (value: unknown, place: string, faults: string[]) => void;

function check(what: string, accepts: (value: unknown) => boolean): Check {
  return (value, place, faults) => {
    if (value !== null && !accepts(value)) {
      faults.push(`${place}: not ${what}: ${JSON.stringify(value)?.slice(0, 80)}`);
    }
  };
}

function text(what: string, accepts: (text: string) => boolean): Check {
  return check(what, (value) => typeof value === "string" && accepts(value));
}

const anything: Check = () => {};
const string = check("a text", (value) => typeof value === "string");
const boolean = check("a boolean", (value) => typeof value === "boolean");
const number = check("a number", (value) => typeof value === "number" && Number.isFinite(value));
const integer = check("a whole number", Number.isSafeInteger);
const id = check("an id", (value) => typeof value === "number" && Number.isSafeInteger(value) && value > 0);
const port = check(
  "a port",
  (value) => typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 65_535,
);
const protocolNumber = check(
  "a protocol",
  (value) => typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 255,
);
const time = text("a time", (value) => parseTime(value) !== undefined);
const bytes = text("base64", (value) => /^[A-Za-z0-9+/]*={0,2}$/.test(value) && value.length % 4 === 0);
const key = (prefix: string): Check =>
  text(`a ${prefix} key`, (value) => new RegExp(`^${prefix}:[0-9a-f]{64}$`).test(value));
const prefix = text("a prefix", (value) => value === "" || parsePrefix(value) !== undefined);
const address = text("an address", (value) => value === "" || parseAddr(value) !== undefined);
const addressAndPort = text("an address and port", (value) => value === "" || canonicalAddrPort(value) !== undefined);
const filterAddress = text("an address, prefix without host bits, range or *", isFilterAddress);

function isFilterAddress(value: string): boolean {
  const found = parsePrefix(value);
  return found === undefined
    ? value === "*" || value.startsWith("cap:") || parseRange(value) !== undefined
    : equalAddr(prefixFirst(found), found.addr);
}

function list(item: Check): Check {
  return (value, place, faults) => {
    if (Array.isArray(value)) {
      value.forEach((entry, index) => item(entry, `${place}[${index}]`, faults));
    } else if (value !== null) {
      faults.push(`${place}: not a list`);
    }
  };
}

function map(item: Check, name?: RegExp): Check {
  return (value, place, faults) => {
    if (typeof value !== "object" || Array.isArray(value)) {
      faults.push(`${place}: not a map`);
      return;
    }
    for (const [entry, content] of Object.entries(value ?? {})) {
      if (name !== undefined && !name.test(entry)) {
        faults.push(`${place}: a bad name: ${entry.slice(0, 40)}`);
      }
      item(content, `${place}.${entry}`, faults);
    }
  };
}

type Fields = Readonly<Record<string, Check>>;

function object(fields: Fields): Check {
  return (value, place, faults) => {
    if (typeof value !== "object" || Array.isArray(value)) {
      faults.push(`${place}: not an object`);
      return;
    }
    for (const [name, content] of Object.entries(value ?? {})) {
      const field = fields[name];
      if (field === undefined) {
        faults.push(`${place}.${name}: no such field`);
      } else {
        field(content, `${place}.${name}`, faults);
      }
    }
  };
}

const numeric = /^[1-9]\d*$/;
const capMap = map(list(anything));
const service = object({ Proto: string, Port: port, Description: string });
const netInfo = object({
  MappingVariesByDestIP: boolean,
  WorkingIPv6: boolean,
  OSHasIPv6: boolean,
  WorkingUDP: boolean,
  WorkingICMPv4: boolean,
  HavePortMap: boolean,
  UPnP: boolean,
  PMP: boolean,
  PCP: boolean,
  PreferredDERP: integer,
  LinkType: string,
  DERPLatency: map(number),
  FirewallMode: string,
});
const location = object({
  Country: string,
  CountryCode: string,
  City: string,
  CityCode: string,
  Latitude: number,
  Longitude: number,
  Priority: integer,
});

const hostTexts = [
  ..."IPNVersion FrontendLogID BackendLogID OS OSVersion Distro DistroVersion DistroCodeName Env App Package".split(
    " ",
  ),
  ..."DeviceModel PushDeviceToken Hostname Machine GoArch GoArchVar GoVersion Cloud ServicesHash ExitNodeID".split(" "),
];
const hostFlags = [
  ..."Container Desktop ShieldsUp ShareeNode NoLogsNoSupport RemoteConfig WireIngress IngressEnabled AllowsUpdate".split(
    " ",
  ),
  ..."Userspace UserspaceRouter AppConnector PeerRelay StateEncrypted".split(" "),
];
const hostinfo = object({
  ...Object.fromEntries(hostTexts.map((name) => [name, string])),
  ...Object.fromEntries(hostFlags.map((name) => [name, boolean])),
  RoutableIPs: list(prefix),
  RequestTags: list(string),
  WoLMACs: list(string),
  Services: list(service),
  NetInfo: netInfo,
  sshHostKeys: list(string),
  Location: location,
  TPM: anything,
});

const resolver = object({ Addr: string, BootstrapResolution: list(address), UseWithExitNode: boolean });

const node = object({
  ID: id,
  StableID: string,
  Name: text("a name with its trailing dot", (value) => value.endsWith(".")),
  User: id,
  Sharer: id,
  Key: key("nodekey"),
  KeyExpiry: time,
  KeySignature: bytes,
  Machine: key("mkey"),
  DiscoKey: key("discokey"),
  Addresses: list(prefix),
  AllowedIPs: list(prefix),
  Endpoints: list(addressAndPort),
  DERP: string,
  HomeDERP: integer,
  Hostinfo: hostinfo,
  Created: time,
  Cap: integer,
  Tags: list(text("a tag", (value) => value.startsWith("tag:"))),
  PrimaryRoutes: list(prefix),
  LastSeen: time,
  Online: boolean,
  MachineAuthorized: boolean,
  Capabilities: list(string),
  CapMap: capMap,
  UnsignedPeerAPIOnly: boolean,
  DataPlaneAuditLogID: string,
  Expired: boolean,
  SelfNodeV4MasqAddrForThisPeer: address,
  SelfNodeV6MasqAddrForThisPeer: address,
  IsWireGuardOnly: boolean,
  IsJailed: boolean,
  ExitNodeDNSResolvers: list(resolver),
});

const peerChange = object({
  NodeID: id,
  DERPRegion: integer,
  Cap: integer,
  CapMap: capMap,
  Endpoints: list(addressAndPort),
  Key: key("nodekey"),
  KeySignature: bytes,
  DiscoKey: key("discokey"),
  Online: boolean,
  LastSeen: time,
  KeyExpiry: time,
});

/** SrcBits and Bits are left out on purpose: with either, clients reject the whole filter (quirk 15). */
const filterRule = object({
  SrcIPs: list(filterAddress),
  DstPorts: list(object({ IP: filterAddress, Ports: object({ First: port, Last: port }) })),
  IPProto: list(protocolNumber),
  CapGrant: list(object({ Dsts: list(prefix), Caps: list(string), CapMap: capMap })),
});

const derpMap = object({
  HomeParams: object({ RegionScore: map(number, numeric) }),
  Regions: map(
    object({
      RegionID: integer,
      RegionCode: string,
      RegionName: string,
      Latitude: number,
      Longitude: number,
      Avoid: boolean,
      NoMeasureNoHome: boolean,
      Nodes: list(
        object({
          Name: string,
          RegionID: integer,
          HostName: string,
          CertName: string,
          IPv4: text("an IPv4 address", (value) => value === "none" || value === "" || parseAddr(value)?.family === 4),
          IPv6: text("an IPv6 address", (value) => value === "none" || value === "" || parseAddr(value)?.family === 6),
          STUNPort: integer,
          STUNOnly: boolean,
          DERPPort: integer,
          InsecureForTests: boolean,
          STUNTestIP: string,
          CanPort80: boolean,
        }),
      ),
    }),
    numeric,
  ),
  omitDefaultRegions: boolean,
});

const dnsConfig = object({
  Resolvers: list(resolver),
  Routes: map(list(resolver)),
  FallbackResolvers: list(resolver),
  Domains: list(string),
  Proxied: boolean,
  Nameservers: list(address),
  CertDomains: list(string),
  ExtraRecords: list(object({ Name: string, Type: string, Value: string })),
  ExitNodeFilteredSet: list(string),
});

const sshPolicy = object({
  rules: list(
    object({
      ruleExpires: time,
      principals: list(object({ node: string, nodeIP: string, userLogin: string, any: boolean })),
      sshUsers: map(string),
      action: object({
        message: string,
        reject: boolean,
        accept: boolean,
        sessionDuration: integer,
        allowAgentForwarding: boolean,
        allowLocalPortForwarding: boolean,
        allowRemotePortForwarding: boolean,
        holdAndDelegate: string,
        recorders: list(addressAndPort),
        onRecordingFailure: object({
          RejectSessionWithMessage: string,
          TerminateSessionWithMessage: string,
          NotifyURL: string,
        }),
      }),
      acceptEnv: list(string),
    }),
  ),
});

/** A MapResponse as clients up to 1.102 know it. */
export const mapResponse: Check = object({
  MapSessionHandle: string,
  Seq: integer,
  KeepAlive: boolean,
  PingRequest: object({
    URL: string,
    URLIsNoise: boolean,
    Log: boolean,
    Types: string,
    IP: address,
    Payload: bytes,
  }),
  PopBrowserURL: string,
  Node: node,
  DERPMap: derpMap,
  Peers: list(node),
  PeersChanged: list(node),
  PeersRemoved: list(id),
  PeersChangedPatch: list(peerChange),
  PeerSeenChange: map(boolean, numeric),
  OnlineChange: map(boolean, numeric),
  DNSConfig: dnsConfig,
  Domain: string,
  CollectServices: boolean,
  PacketFilter: list(filterRule),
  PacketFilters: map(list(filterRule)),
  UserProfiles: list(
    object({ ID: id, LoginName: string, DisplayName: string, ProfilePicURL: string, Groups: list(string) }),
  ),
  Health: list(string),
  DisplayMessages: map(
    object({
      Title: string,
      Text: string,
      Severity: text("a severity", (value) => ["high", "medium", "low"].includes(value)),
      ImpactsConnectivity: boolean,
      PrimaryAction: object({ URL: string, Label: string }),
    }),
  ),
  SSHPolicy: sshPolicy,
  ControlTime: time,
  TKAInfo: object({ Head: string, Disabled: boolean }),
  DomainDataPlaneAuditLogID: string,
  Debug: object({ SleepSeconds: number, DisableLogTail: boolean, Exit: integer }),
  ControlDialPlan: anything,
  ClientVersion: object({
    RunningLatest: boolean,
    LatestVersion: string,
    UrgentSecurityUpdate: boolean,
    Notify: boolean,
    NotifyURL: string,
    NotifyText: string,
  }),
  DefaultAutoUpdate: boolean,
});
