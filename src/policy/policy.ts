// The policy after checking: names resolved, ports parsed, rules in the order in which they take effect. Knows nothing
// of users and nodes yet.
import type { Prefix } from "../ip/index.ts";
import type { Json } from "../wire/tailcfg.ts";
import type { PortRange } from "./ports.ts";
import type { Attributes, Posture } from "./postures.ts";
import type { NodeSet, Selector } from "./selectors.ts";
import type { Located } from "./source.ts";

/** Who may be a source: any of the selectors, on a device that meets any of the postures (if there are any). */
export interface SourceSpec {
  readonly selectors: readonly Selector[];
  readonly postures: readonly Posture[];
}

/** A destination and the ports open on it. */
export interface Target {
  readonly selector: Selector;
  readonly ports: readonly PortRange[];
}

export interface App {
  readonly name: string;
  readonly values: readonly Json[];
}

/** One line of the packet filter to be: ip and app entries of one rule each give their own. */
export type Unit =
  | {
      readonly kind: "ports";
      /** Undefined: the default four. */
      readonly protocol: number | undefined;
      readonly targets: readonly Target[];
      readonly self: boolean;
    }
  | {
      readonly kind: "apps";
      readonly apps: readonly App[];
      readonly targets: readonly Selector[];
      readonly self: boolean;
    };

/** An entry of `acls` or `grants`. */
export interface Rule {
  readonly section: "acls" | "grants" | "default";
  /** Its place in the section, from 0. */
  readonly index: number;
  /** Offset in the text. */
  readonly at: number;
  readonly src: SourceSpec;
  /** Destinations other than autogroup:self. */
  readonly dst: readonly Selector[];
  /** Has autogroup:self among its destinations. */
  readonly self: boolean;
  /** Empty: not steered. */
  readonly via: readonly string[];
  readonly units: readonly Unit[];
}

export type SshAction = "accept" | "check";

export interface SshRule {
  readonly index: number;
  readonly at: number;
  readonly action: SshAction;
  readonly src: SourceSpec;
  readonly dst: readonly Selector[];
  readonly self: boolean;
  /** Login names as given. */
  readonly logins: readonly string[];
  readonly root: boolean;
  readonly nonroot: boolean;
  /** Domains of `localpart:*@domain`, lower case. */
  readonly localparts: readonly string[];
  /** Milliseconds; 0: ask every time. Meaningful for `check`. */
  readonly checkPeriod: number;
  readonly acceptEnv: readonly string[];
  readonly recorders: readonly Selector[];
  readonly enforceRecorder: boolean;
}

export interface Owners {
  readonly name: string;
  readonly at: number;
  readonly owners: readonly NodeSet[];
}

export interface RouteApprover {
  readonly prefix: Prefix;
  readonly at: number;
  readonly approvers: readonly NodeSet[];
}

export interface NodeAttr {
  readonly at: number;
  readonly targets: readonly Selector[];
  readonly attrs: readonly string[];
  readonly apps: readonly App[];
  readonly ipPools: readonly Prefix[];
}

export interface PolicyTest {
  readonly at: number;
  readonly index: number;
  readonly src: Selector;
  readonly srcText: string;
  /** Undefined: not given. */
  readonly protocol: number | undefined;
  readonly protocolText: string;
  readonly accept: readonly TestTarget[];
  readonly deny: readonly TestTarget[];
  readonly attributes: Attributes | undefined;
}

export interface TestTarget {
  readonly text: string;
  readonly at: number;
  readonly selector: Selector;
  readonly port: number;
}

export interface SshTest {
  readonly at: number;
  readonly index: number;
  readonly src: Selector;
  readonly srcText: string;
  readonly dst: readonly Selector[];
  readonly accept: readonly Located[];
  readonly deny: readonly Located[];
  readonly check: readonly Located[];
}

/** A test that is wrong by its shape fails like one that does not hold. */
export interface BrokenTest {
  readonly at: number;
  readonly message: string;
}

export interface Group {
  readonly tokens: readonly string[];
  readonly domains: readonly string[];
}

/** What `attrConfig` says of a `custom:` attribute. */
export interface AttrConfig {
  /** Undefined: any. */
  readonly type: "string" | "number" | "boolean" | undefined;
  /** May a node say it of itself? Otherwise only the admin interface sets it. */
  readonly allowSetByNode: boolean;
  /** Whose nodes are told the attribute of their peers. */
  readonly broadcastToPeers: readonly NodeSet[];
}

export interface Policy {
  readonly groups: ReadonlyMap<string, Group>;
  readonly tagOwners: ReadonlyMap<string, Owners>;
  readonly rules: readonly Rule[];
  readonly ssh: readonly SshRule[];
  readonly routeApprovers: readonly RouteApprover[];
  readonly exitNodeApprovers: readonly NodeSet[];
  readonly serviceApprovers: readonly Owners[];
  readonly nodeAttrs: readonly NodeAttr[];
  readonly postures: readonly Posture[];
  readonly tests: readonly PolicyTest[];
  readonly sshTests: readonly SshTest[];
  readonly brokenTests: readonly BrokenTest[];
  readonly derpMap: Json | undefined;
  readonly disableIPv4: boolean;
  readonly randomizeClientPort: boolean;
  /** "" is the client's own choice. */
  readonly oneCGNATRoute: "" | "mac-always" | "mac-never";
  readonly attrConfig: ReadonlyMap<string, AttrConfig>;
  /** Tokens that must not mean two users, and where they stand. */
  readonly userTokens: readonly UserToken[];
}

export interface UserToken {
  readonly token: string;
  readonly at: number;
}
