// From the raw policy to the checked one: resolves names, refuses what Tailscale refuses, in its words. All problems
// are collected, not only the first.
import { parsePrefixOrAddr, type Prefix } from "../ip/index.ts";
import { checkAttrs } from "./check-attrs.ts";
import { checkOwners, checkRouteApprovers, checkServiceApprovers } from "./check-owners.ts";
import { checkRules } from "./check-rules.ts";
import { checkSsh } from "./check-ssh.ts";
import { checkSshTests, checkTests } from "./check-tests.ts";
import { resolveIpSets } from "./ipsets.ts";
import { lookUpPostures, type CheckContext } from "./check-context.ts";
import type { AttrConfig, Group, Policy, UserToken } from "./policy.ts";
import { memberHint } from "./name-hints.ts";
import { parseCondition, type Posture } from "./postures.ts";
import type { Problems } from "./problems.ts";
import type { RawList, RawPolicy } from "./raw.ts";
import { domainProblem, tagNameProblem, userToken, type Declared } from "./selectors.ts";
import type { Located } from "./source.ts";

/** What is known from outside the text. */
export interface CheckSettings {
  /** Domains that `user:*@domain` may name; undefined: any. */
  readonly domains: ReadonlySet<string> | undefined;
  /** Groups that an identity provider fills; they need no entry in `groups`. */
  readonly providerGroups: ReadonlySet<string>;
  readonly services: ReadonlyMap<string, readonly Prefix[]>;
  /** Take groups that nobody declares as empty instead of refusing them. */
  readonly anyGroup?: boolean;
}

export function checkPolicy(raw: RawPolicy, settings: CheckSettings, problems: Problems): Policy {
  const userTokens: UserToken[] = [];
  const hosts = checkHosts(raw, problems);
  const tags = new Set(raw.tagOwners.map((list) => list.name));
  const declared: Declared = {
    groups: new Set([...raw.groups.map((list) => list.name), ...settings.providerGroups]),
    anyGroup: settings.anyGroup ?? false,
    tags,
    hosts,
    ipsets: resolveIpSets(raw.ipsets, hosts, problems),
    services: settings.services,
    domains: settings.domains,
  };
  const postures = checkPostures(raw.postures, problems);
  const context: CheckContext = {
    declared,
    postures,
    defaultPostures: lookUpPostures(raw.defaultSrcPosture, postures, problems),
    problems,
    userTokens,
    brokenTests: [],
  };
  for (const list of raw.tagOwners) {
    const problem = tagNameProblem(list.name);
    if (problem !== undefined) {
      problems.error(list.at, `tagOwners[${JSON.stringify(list.name)}]: ${problem}`);
    }
  }
  return {
    groups: checkGroups(raw.groups, context),
    tagOwners: new Map(raw.tagOwners.map((list) => [list.name, checkOwners(list, "tagOwners", context)])),
    rules: checkRules(raw, context),
    ssh: checkSsh(raw.ssh, context),
    routeApprovers: checkRouteApprovers(raw.autoApprovers.routes, context),
    exitNodeApprovers: checkOwners(
      { name: "exitNode", at: 0, items: raw.autoApprovers.exitNode },
      "autoApprovers.exitNode",
      context,
    ).owners,
    serviceApprovers: checkServiceApprovers(raw.autoApprovers.services, context),
    nodeAttrs: checkAttrs(raw.nodeAttrs, context),
    postures: [...postures.values()],
    tests: checkTests(raw.tests, context),
    sshTests: checkSshTests(raw.sshTests, context),
    brokenTests: context.brokenTests,
    derpMap: raw.derpMap,
    disableIPv4: raw.disableIPv4 ?? false,
    randomizeClientPort: raw.randomizeClientPort ?? false,
    oneCGNATRoute: checkOneCGNAT(raw.oneCGNATRoute, problems),
    attrConfig: checkAttrConfig(raw, context),
    userTokens,
  };
}

function checkHosts(raw: RawPolicy, problems: Problems): ReadonlyMap<string, Prefix> {
  const hosts = new Map<string, Prefix>();
  for (const { name, at, value } of raw.hosts) {
    const prefix = parsePrefixOrAddr(value.text.trim());
    if (name === "" || /[@:*]/.test(name)) {
      problems.error(at, `invalid hostname: ${JSON.stringify(name)}`, "a host's name may not contain @, : or *");
    }
    if (prefix === undefined) {
      problems.error(
        value.at,
        `hostname contains invalid IP address: hostname ${JSON.stringify(name)} address ${JSON.stringify(value.text)}`,
        "a host is an address (10.0.0.7) or a network (10.0.0.0/8)",
      );
    } else {
      hosts.set(name, prefix);
    }
  }
  return hosts;
}

function checkGroups(lists: readonly RawList[], context: CheckContext): ReadonlyMap<string, Group> {
  const { problems, declared } = context;
  const groups = new Map<string, Group>();
  for (const { name, at, items } of lists) {
    if (!name.startsWith("group:")) {
      problems.error(
        at,
        `group must start with 'group:', got: ${JSON.stringify(name)}`,
        `write ${JSON.stringify(`group:${name}`)}`,
      );
    }
    const tokens: string[] = [];
    const domains: string[] = [];
    for (const member of items) {
      const text = member.text.trim();
      const where = `groups[${JSON.stringify(name)}]: ${JSON.stringify(text)}`;
      if (text.startsWith("group:")) {
        problems.error(member.at, `${where}: group members cannot be recursive`);
      } else if (text.startsWith("user:*@")) {
        const domain = text.slice("user:*@".length).toLowerCase();
        const problem = domainProblem(domain, declared);
        if (problem !== undefined) {
          problems.error(member.at, problem);
        }
        domains.push(domain);
      } else if (text.includes("@")) {
        tokens.push(userToken(text));
        context.userTokens.push({ token: userToken(text), at: member.at });
      } else {
        problems.error(
          member.at,
          `groups[${JSON.stringify(name)}]: username must contain @, got: ${JSON.stringify(member.text)}`,
          () => memberHint(text),
        );
      }
    }
    groups.set(name, { tokens, domains });
  }
  return groups;
}

function checkPostures(lists: readonly RawList[], problems: Problems): ReadonlyMap<string, Posture> {
  const postures = new Map<string, Posture>();
  for (const { name, at, items } of lists) {
    if (!/^posture:[a-zA-Z0-9]/.test(name)) {
      problems.error(
        at,
        `posture must start with 'posture:', got: ${JSON.stringify(name)}`,
        name.startsWith("posture:") ? undefined : `write ${JSON.stringify(`posture:${name}`)}`,
      );
    }
    const conditions = items.flatMap((item) => {
      const condition = parseCondition(item.text);
      if (!condition.ok) {
        problems.error(item.at, `postures[${JSON.stringify(name)}]: ${condition.error}`);
        return [];
      }
      return [condition.value];
    });
    if (items.length === 0) {
      problems.error(at, `postures[${JSON.stringify(name)}]: a posture needs at least one condition`);
    }
    postures.set(name, { name, at, conditions, texts: items.map((item) => item.text) });
  }
  return postures;
}

function checkOneCGNAT(value: Located | undefined, problems: Problems): Policy["oneCGNATRoute"] {
  const text = value?.text ?? "";
  if (text === "" || text === "mac-always" || text === "mac-never") {
    return text;
  }
  problems.error(value?.at ?? 0, `OneCGNATRoute must be "mac-always" or "mac-never", got: ${JSON.stringify(text)}`);
  return "";
}

const attributeTypes: ReadonlyMap<string, AttrConfig["type"]> = new Map([
  ["", undefined],
  ["string", "string"],
  ["number", "number"],
  ["bool", "boolean"],
  ["boolean", "boolean"],
]);

function checkAttrConfig(raw: RawPolicy, context: CheckContext): Policy["attrConfig"] {
  return new Map(
    raw.attrConfig.map(({ name, at, type, allowSetByNode, broadcastToPeers }) => {
      if (!name.startsWith("custom:")) {
        context.problems.error(at, `attrConfig: attribute must start with 'custom:', got: ${JSON.stringify(name)}`);
      }
      if (!attributeTypes.has(type?.text ?? "")) {
        context.problems.error(
          type?.at ?? at,
          `attrConfig[${JSON.stringify(name)}]: invalid type ${JSON.stringify(type?.text)}`,
          "it is string, number or bool",
        );
      }
      const peers = { name, at, items: broadcastToPeers };
      const config: AttrConfig = {
        type: attributeTypes.get(type?.text ?? ""),
        allowSetByNode,
        broadcastToPeers: checkOwners(peers, "attrConfig", context).owners,
      };
      return [name, config];
    }),
  );
}
