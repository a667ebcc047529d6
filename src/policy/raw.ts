// The policy as written: every section and field by its declared name, every string with its place, nothing resolved.
import type { Json } from "../wire/tailcfg.ts";
import type { Located } from "./source.ts";

/** A named list: a group, a tag's owners, a posture … */
export interface RawList {
  readonly name: string;
  readonly at: number;
  readonly items: readonly Located[];
}

export interface RawAcl {
  readonly at: number;
  readonly action: Located | undefined;
  readonly src: readonly Located[];
  readonly dst: readonly Located[];
  readonly proto: Located | undefined;
  readonly srcPosture: readonly Located[];
}

export interface RawApp {
  readonly name: string;
  readonly at: number;
  readonly values: readonly Json[];
}

export interface RawGrant {
  readonly at: number;
  readonly src: readonly Located[];
  readonly dst: readonly Located[];
  readonly ip: readonly Located[];
  readonly app: readonly RawApp[];
  readonly via: readonly Located[];
  readonly srcPosture: readonly Located[];
}

export interface RawSsh {
  readonly at: number;
  readonly action: Located | undefined;
  readonly src: readonly Located[];
  readonly dst: readonly Located[];
  readonly users: readonly Located[];
  readonly checkPeriod: Located | undefined;
  readonly acceptEnv: readonly Located[];
  readonly recorder: readonly Located[];
  readonly enforceRecorder: boolean;
  readonly srcPosture: readonly Located[];
}

export interface RawNodeAttr {
  readonly at: number;
  readonly target: readonly Located[];
  readonly attr: readonly Located[];
  readonly app: readonly RawApp[];
  readonly ipPool: readonly Located[];
}

export interface RawTest {
  readonly at: number;
  readonly src: Located | undefined;
  readonly proto: Located | undefined;
  readonly accept: readonly Located[];
  readonly deny: readonly Located[];
  /** Attributes the source is taken to have, for rules with a posture. */
  readonly srcPostureAttrs: Readonly<Record<string, string | number | boolean>> | undefined;
}

export interface RawSshTest {
  readonly at: number;
  readonly src: Located | undefined;
  readonly dst: readonly Located[];
  readonly accept: readonly Located[];
  readonly deny: readonly Located[];
  readonly check: readonly Located[];
}

export interface RawAttrConfig {
  readonly name: string;
  readonly at: number;
  readonly type: Located | undefined;
  readonly allowSetByNode: boolean;
  readonly broadcastToPeers: readonly Located[];
}

export interface RawPolicy {
  readonly groups: readonly RawList[];
  readonly hosts: readonly { readonly name: string; readonly at: number; readonly value: Located }[];
  readonly tagOwners: readonly RawList[];
  readonly ipsets: readonly RawList[];
  readonly postures: readonly RawList[];
  readonly defaultSrcPosture: readonly Located[];
  /** Undefined when the section is not there (or null): that differs from an empty one. */
  readonly acls: readonly RawAcl[] | undefined;
  readonly grants: readonly RawGrant[] | undefined;
  readonly ssh: readonly RawSsh[];
  readonly autoApprovers: {
    readonly routes: readonly RawList[];
    readonly exitNode: readonly Located[];
    readonly services: readonly RawList[];
  };
  readonly nodeAttrs: readonly RawNodeAttr[];
  readonly tests: readonly RawTest[];
  readonly sshTests: readonly RawSshTest[];
  readonly derpMap: Json | undefined;
  readonly disableIPv4: boolean | undefined;
  readonly randomizeClientPort: boolean | undefined;
  readonly oneCGNATRoute: Located | undefined;
  readonly attrConfig: readonly RawAttrConfig[];
}
