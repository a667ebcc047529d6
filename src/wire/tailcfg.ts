// The control protocol's messages (protocol.md §3–5), in the field names of the wire. Types only: what comes in is
// validated in tailcfg-decode.ts, what goes out is built by netmap and control. `?` is omitempty; an array that may be
// absent or empty with different meaning says so.
import type { DiscoKey, MachineKey, NodeId, NodeKey, NodeLockKey, UserId } from "./ids.ts";

/** Any JSON value, as carried verbatim (capability values, unknown Hostinfo fields). */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
/** RFC 3339 in UTC, ending in Z. */
export type TimeText = string;
/** `ip/bits`. */
export type PrefixText = string;
/** `1.2.3.4:5` or `[v6]:5`. */
export type AddrPortText = string;

/** Flags and values granted to a node or peer; null or [] is a plain flag. */
export type CapMap = Readonly<Record<string, readonly Json[] | null>>;

export interface Service {
  readonly Proto: string;
  readonly Port: number;
  readonly Description?: string;
}

export interface NetInfo {
  readonly MappingVariesByDestIP?: boolean;
  readonly WorkingIPv6?: boolean;
  readonly OSHasIPv6?: boolean;
  readonly WorkingUDP?: boolean;
  readonly WorkingICMPv4?: boolean;
  readonly HavePortMap?: boolean;
  readonly UPnP?: boolean;
  readonly PMP?: boolean;
  readonly PCP?: boolean;
  /** Home region id; 0 or absent is unknown. */
  readonly PreferredDERP?: number;
  readonly LinkType?: string;
  /** `"<region>-v4"` → seconds. */
  readonly DERPLatency?: Readonly<Record<string, number>>;
  readonly FirewallMode?: string;
}

/** What a client says of its machine (§4.7). Known fields are typed and bounded; the rest is kept as sent in `extra`. */
export interface Hostinfo {
  readonly IPNVersion?: string;
  readonly OS?: string;
  readonly OSVersion?: string;
  readonly Hostname?: string;
  readonly DeviceModel?: string;
  readonly Distro?: string;
  readonly GoArch?: string;
  readonly App?: string;
  readonly Package?: string;
  readonly ShieldsUp?: boolean;
  readonly WireIngress?: boolean;
  readonly IngressEnabled?: boolean;
  readonly PeerRelay?: boolean;
  readonly AppConnector?: boolean;
  readonly StateEncrypted?: boolean;
  readonly ServicesHash?: string;
  readonly ExitNodeID?: string;
  readonly RoutableIPs?: readonly PrefixText[];
  readonly RequestTags?: readonly string[];
  readonly Services?: readonly Service[];
  readonly sshHostKeys?: readonly string[];
  readonly NetInfo?: NetInfo;
  readonly Location?: Json;
  /** All other fields, verbatim, within the size bound of the whole. */
  readonly extra?: Readonly<Record<string, Json>>;
}

export interface RegisterRequest {
  readonly Version: number;
  readonly NodeKey: NodeKey;
  /** Absent when the client sent the zero key. */
  readonly OldNodeKey?: NodeKey;
  readonly NLKey?: NodeLockKey;
  readonly AuthKey?: string;
  /** Milliseconds since 1970; absent when zero. */
  readonly Expiry?: number;
  readonly Followup: string;
  readonly Hostinfo: Hostinfo;
  readonly Ephemeral: boolean;
  /** Raw CBOR, base64. */
  readonly NodeKeySignature?: string;
  readonly Tailnet?: string;
}

export interface LoginUser {
  readonly ID: number;
  readonly DisplayName: string;
  readonly ProfilePicURL?: string;
  readonly Created?: TimeText;
}
export interface LoginIdentity {
  readonly ID: number;
  readonly Provider: string;
  readonly LoginName: string;
  readonly DisplayName: string;
  readonly ProfilePicURL?: string;
}
export interface RegisterResponse {
  readonly User: LoginUser;
  readonly Login: LoginIdentity;
  readonly NodeKeyExpired: boolean;
  readonly MachineAuthorized: boolean;
  readonly AuthURL: string;
  readonly NodeKeySignature: string | null;
  readonly Error: string;
}

export interface MapRequest {
  readonly Version: number;
  readonly Compress: "zstd" | "";
  readonly KeepAlive: boolean;
  readonly NodeKey: NodeKey;
  /** Absent when the client sent the zero key. */
  readonly DiscoKey?: DiscoKey;
  readonly Stream: boolean;
  readonly OmitPeers: boolean;
  readonly ReadOnly: boolean;
  /** Absent when the client sent null or nothing. */
  readonly Hostinfo?: Hostinfo;
  readonly Endpoints: readonly AddrPortText[];
  readonly EndpointTypes: readonly number[];
  readonly TKAHead?: string;
}

export interface FilterRule {
  /** IP, CIDR without host bits, `a-b`, `*`. Empty matches nothing. */
  readonly SrcIPs: readonly string[];
  readonly DstPorts?: readonly NetPortRange[];
  /** Absent: TCP, UDP, ICMP, ICMPv6. */
  readonly IPProto?: readonly number[];
  readonly CapGrant?: readonly CapGrant[];
}
export interface NetPortRange {
  readonly IP: string;
  readonly Ports: { readonly First: number; readonly Last: number };
}
export interface CapGrant {
  readonly Dsts: readonly PrefixText[];
  readonly CapMap: CapMap;
}

export interface SSHPolicy {
  readonly rules: readonly SSHRule[];
}
export interface SSHRule {
  readonly principals: readonly SSHPrincipal[];
  /** Requested → local user; "=" same name; "" not by this rule. */
  readonly sshUsers: Readonly<Record<string, string>>;
  readonly action: SSHAction;
  readonly acceptEnv?: readonly string[];
}
export interface SSHPrincipal {
  readonly nodeIP?: string;
  readonly any?: boolean;
}
export interface SSHAction {
  readonly message?: string;
  readonly reject?: boolean;
  readonly accept?: boolean;
  /** Nanoseconds. */
  readonly sessionDuration?: number;
  readonly allowAgentForwarding?: boolean;
  readonly allowLocalPortForwarding?: boolean;
  readonly allowRemotePortForwarding?: boolean;
  readonly holdAndDelegate?: string;
  readonly recorders?: readonly AddrPortText[];
  readonly onRecordingFailure?: {
    readonly RejectSessionWithMessage?: string;
    readonly TerminateSessionWithMessage?: string;
    readonly NotifyURL?: string;
  };
}

export interface Resolver {
  readonly Addr?: string;
  readonly UseWithExitNode?: boolean;
}
export interface DNSRecord {
  readonly Name: string;
  readonly Type?: string;
  readonly Value: string;
}
export interface DNSConfig {
  readonly Resolvers?: readonly Resolver[];
  /** suffix → resolvers; an empty list is answered by the client's MagicDNS. */
  readonly Routes?: Readonly<Record<string, readonly Resolver[]>>;
  readonly FallbackResolvers?: readonly Resolver[];
  readonly Domains?: readonly string[];
  readonly Proxied?: boolean;
  readonly CertDomains?: readonly string[];
  readonly ExtraRecords?: readonly DNSRecord[];
  readonly ExitNodeFilteredSet?: readonly string[];
}

export interface DERPNode {
  readonly Name: string;
  readonly RegionID: number;
  readonly HostName: string;
  readonly CertName?: string;
  readonly IPv4?: string;
  readonly IPv6?: string;
  readonly STUNPort?: number;
  readonly STUNOnly?: boolean;
  readonly DERPPort?: number;
  readonly InsecureForTests?: boolean;
  readonly CanPort80?: boolean;
}
export interface DERPRegion {
  readonly RegionID: number;
  readonly RegionCode: string;
  readonly RegionName: string;
  readonly Latitude?: number;
  readonly Longitude?: number;
  readonly Avoid?: boolean;
  readonly NoMeasureNoHome?: boolean;
  readonly Nodes: readonly DERPNode[];
}
export interface DERPMap {
  readonly HomeParams?: { readonly RegionScore?: Readonly<Record<string, number>> };
  readonly Regions: Readonly<Record<string, DERPRegion>>;
  readonly omitDefaultRegions?: boolean;
}

export interface UserProfile {
  readonly ID: number;
  readonly LoginName: string;
  readonly DisplayName: string;
  readonly ProfilePicURL?: string;
  readonly Groups?: readonly string[];
}

/** A node as told to itself or a peer (§4.6). */
export interface MapNode {
  readonly ID: NodeId;
  readonly StableID: string;
  readonly Name: string;
  readonly User: UserId;
  readonly Key: NodeKey;
  readonly KeyExpiry?: TimeText;
  readonly KeySignature?: string;
  readonly Machine?: MachineKey;
  readonly DiscoKey?: DiscoKey;
  readonly Addresses: readonly PrefixText[];
  readonly AllowedIPs: readonly PrefixText[];
  readonly Endpoints?: readonly AddrPortText[];
  readonly HomeDERP?: number;
  readonly Hostinfo?: Hostinfo;
  readonly Created?: TimeText;
  readonly Cap?: number;
  readonly Tags?: readonly string[];
  readonly PrimaryRoutes?: readonly PrefixText[];
  readonly LastSeen?: TimeText;
  readonly Online?: boolean;
  readonly MachineAuthorized?: boolean;
  readonly CapMap?: CapMap;
  readonly Expired?: boolean;
  readonly IsJailed?: boolean;
}

export interface PeerChange {
  readonly NodeID: NodeId;
  readonly DERPRegion?: number;
  readonly Cap?: number;
  readonly CapMap?: CapMap;
  readonly Endpoints?: readonly AddrPortText[];
  readonly Key?: NodeKey;
  readonly KeySignature?: string;
  readonly DiscoKey?: DiscoKey;
  readonly Online?: boolean;
  readonly LastSeen?: TimeText;
  readonly KeyExpiry?: TimeText;
}

export interface PingRequest {
  readonly URL: string;
  readonly URLIsNoise?: boolean;
  readonly Types?: string;
  readonly IP?: string;
  /** base64 */
  readonly Payload?: string;
}

export interface ClientVersion {
  readonly RunningLatest?: boolean;
  readonly LatestVersion?: string;
}

/** All fields omitempty; undefined and [] differ where §4.4 says so. */
export interface MapResponse {
  readonly KeepAlive?: true;
  readonly PingRequest?: PingRequest;
  readonly PopBrowserURL?: string;
  readonly Node?: MapNode;
  readonly DERPMap?: DERPMap;
  readonly Peers?: readonly MapNode[];
  readonly PeersChanged?: readonly MapNode[];
  readonly PeersRemoved?: readonly NodeId[];
  readonly PeersChangedPatch?: readonly PeerChange[];
  readonly PeerSeenChange?: Readonly<Record<string, boolean>>;
  readonly OnlineChange?: Readonly<Record<string, boolean>>;
  readonly DNSConfig?: DNSConfig;
  readonly Domain?: string;
  readonly CollectServices?: boolean;
  readonly PacketFilter?: readonly FilterRule[];
  readonly PacketFilters?: Readonly<Record<string, readonly FilterRule[] | null>>;
  readonly UserProfiles?: readonly UserProfile[];
  readonly Health?: readonly string[];
  readonly DisplayMessages?: Readonly<Record<string, Json>>;
  readonly SSHPolicy?: SSHPolicy;
  readonly ControlTime?: TimeText;
  readonly Debug?: { readonly DisableLogTail?: boolean; readonly SleepSeconds?: number };
  readonly ClientVersion?: ClientVersion;
}
