// acls and grants: from entries as written to rules in the order in which they make the packet filter. Grants come
// before ACLs; an ACL is taken apart destination by destination.
import { formatPrefix, parseAddr, parsePrefix, parsePrefixOrAddr } from "../ip/index.ts";
import { lookUpPostures, noteUser, type CheckContext } from "./check-context.ts";
import type { App, Rule, SourceSpec, Target, Unit } from "./policy.ts";
import {
  parseIpEntry,
  parsePorts,
  parseProtocol,
  portsProblem,
  allPorts,
  type IpEntry,
  type Parsed,
  type PortRange,
} from "./ports.ts";
import { didYouMean } from "./name-hints.ts";
import { hintText, type Hint } from "./problems.ts";
import type { RawAcl, RawApp, RawGrant, RawPolicy } from "./raw.ts";
import { parseSelector, tagNameProblem, type Selector } from "./selectors.ts";
import type { Located } from "./source.ts";

/** A policy with neither section lets the tailnet's own addresses and routes go everywhere. */
const defaultRule: Rule = {
  section: "default",
  index: 0,
  at: 0,
  src: { selectors: [{ kind: "any", text: "*", at: 0 }], postures: [] },
  dst: [{ kind: "any", text: "*", at: 0 }],
  self: false,
  via: [],
  units: [
    {
      kind: "ports",
      protocol: undefined,
      targets: [{ selector: { kind: "any", text: "*", at: 0 }, ports: [allPorts] }],
      self: false,
    },
  ],
};

export function checkRules(raw: RawPolicy, context: CheckContext): readonly Rule[] {
  if (raw.acls === undefined && raw.grants === undefined) {
    return [defaultRule];
  }
  return [
    ...(raw.grants ?? []).map((grant, index) => checkGrant(grant, index, context)),
    ...(raw.acls ?? []).flatMap((acl, index) => checkAcl(acl, index, context) ?? []),
  ];
}

function checkSources(
  sources: readonly Located[],
  postures: readonly Located[],
  context: CheckContext,
  needsSelf: "no" | "acl" | "grant",
): SourceSpec {
  const selectors = sources.flatMap((source) => {
    const place = { text: source.text.trim(), at: source.at };
    const parsed = parseSelector(place, context.declared);
    if (!parsed.ok) {
      const unknown = place.text.startsWith("autogroup:");
      context.problems.error(
        place.at,
        unknown
          ? `autogroup not supported for ACL sources: ${JSON.stringify(place.text)}, can be [autogroup:member autogroup:tagged autogroup:danger-all]`
          : place.text.startsWith("tag:")
            ? `src=${parsed.error}`
            : parsed.error,
        parsed.hint,
      );
      return [];
    }
    const problem = sourceProblem(parsed.selector, needsSelf);
    if (problem !== undefined) {
      context.problems.error(place.at, problem);
      return [];
    }
    noteUser(parsed.selector, context);
    return [parsed.selector];
  });
  return {
    selectors,
    postures:
      postures.length === 0 ? context.defaultPostures : lookUpPostures(postures, context.postures, context.problems),
  };
}

function sourceProblem(selector: Selector, needsSelf: "no" | "acl" | "grant"): string | undefined {
  if (selector.kind === "self") {
    return '"autogroup:self" not valid on the src side of a rule';
  }
  if (selector.kind === "internet") {
    return "autogroup:internet can only be used in ACL destinations";
  }
  return needsSelf === "no" || mayReachSelf(selector, needsSelf)
    ? undefined
    : "autogroup:self can only be used with users, groups, or supported autogroups";
}

/** Only people have devices of their own; an ACL may say `*` for all of them. */
function mayReachSelf(selector: Selector, section: "acl" | "grant"): boolean {
  if (selector.kind === "any") {
    return section === "acl";
  }
  return selector.kind === "nodes" && selector.set.kind !== "tag" && selector.set.kind !== "tagged";
}

function hasSelf(destinations: readonly Located[]): boolean {
  return destinations.some(({ text }) => text === "autogroup:self" || text.startsWith("autogroup:self:"));
}

function checkAcl(acl: RawAcl, index: number, context: CheckContext): Rule | undefined {
  if (acl.action !== undefined && acl.action.text !== "accept") {
    context.problems.error(
      acl.action.at,
      `action=${JSON.stringify(acl.action.text)} is not supported: invalid ACL action`,
      'the only action is "accept": what no rule accepts is denied',
    );
    return undefined;
  }
  const src = checkSources(acl.src, acl.srcPosture, context, hasSelf(acl.dst) ? "acl" : "no");
  const protocol = checkAclProtocol(acl, context);
  const targets = acl.dst.flatMap((dst) => checkAclTarget(dst, protocol, context) ?? []);
  const plain = targets.filter(({ selector }) => selector.kind !== "self");
  const self = targets.filter(({ selector }) => selector.kind === "self");
  // autogroup:self moves behind the others where there is a destination that is no autogroup.
  const ordered = plain.some(({ selector }) => !selector.text.startsWith("autogroup:")) ? [...plain, ...self] : targets;
  return {
    section: "acls",
    index,
    at: acl.at,
    src,
    dst: plain.map(({ selector }) => selector),
    self: self.length > 0,
    via: [],
    units: ordered.map((target) => ({
      kind: "ports",
      protocol,
      targets: [target],
      self: target.selector.kind === "self",
    })),
  };
}

function checkAclProtocol(acl: RawAcl, context: CheckContext): number | undefined {
  if (acl.proto === undefined || acl.proto.text === "") {
    return undefined;
  }
  const parsed = parseProtocol(acl.proto.text);
  if (!parsed.ok) {
    context.problems.error(acl.proto.at, parsed.error, parsed.hint);
    return undefined;
  }
  return parsed.value;
}

/** `alias:ports`, split at the last colon; IPv6 as `[v6]:p`, `[v6]/len:p` or bare `v6:p`. */
export function splitHostPort(text: string): Parsed<{ readonly alias: string; readonly ports: string }> {
  const colon = text.lastIndexOf(":");
  if (colon === -1) {
    return { ok: false, error: "hostport must contain a colon" };
  }
  if (colon === 0) {
    return { ok: false, error: "input cannot start with a colon character" };
  }
  if (colon === text.length - 1) {
    return { ok: false, error: "input cannot end with a colon character" };
  }
  const alias = text.slice(0, colon);
  const ports = text.slice(colon + 1);
  const bracketed = /^\[([^\]]*)\](\/\d+)?$/.exec(alias);
  if (bracketed === null) {
    return { ok: true, value: { alias, ports } };
  }
  const inside = bracketed[1] ?? "";
  const [addr = "", bits = ""] = inside.split("/");
  return parseAddr(inside)?.family === 6
    ? { ok: true, value: { alias: `${inside}${bracketed[2] ?? ""}`, ports } }
    : {
        ok: false,
        error: `square brackets are only valid around IPv6 addresses: ${JSON.stringify(inside)}`,
        hint: parseAddr(addr)?.family === 6 ? `write "[${addr}]/${bits}:${ports}"` : `write "${inside}:${ports}"`,
      };
}

function checkAclTarget(dst: Located, protocol: number | undefined, context: CheckContext): Target | undefined {
  const refuse = (message: string, hint?: Hint): undefined => {
    context.problems.error(dst.at, message, hint);
    return undefined;
  };
  const forgotten = (): string | undefined => forgottenPorts(dst.text, context);
  const parts = splitHostPort(dst.text);
  if (!parts.ok) {
    return refuse(`dst=${JSON.stringify(dst.text)}: ${parts.error}`, () => hintText(parts.hint) ?? forgotten());
  }
  const split = parts.value;
  const ports = parsePorts(split.ports);
  if (!ports.ok) {
    const hint = (): string | undefined => forgotten() ?? hintText(ports.hint);
    return refuse(`dst=${JSON.stringify(dst.text)}: ${ports.error}`, hint);
  }
  const parsed = parseSelector({ text: split.alias, at: dst.at }, context.declared);
  if (!parsed.ok) {
    return refuse(
      split.alias.startsWith("autogroup:") ? parsed.error : `dst=${JSON.stringify(split.alias)}: ${parsed.error}`,
      () => forgotten() ?? hintText(parsed.hint),
    );
  }
  if (parsed.selector.kind === "danger-all") {
    return refuse("cannot use autogroup:danger-all as a dst");
  }
  const problem = portsProblem(protocol, ports.value);
  if (problem !== undefined) {
    return refuse(problem);
  }
  noteUser(parsed.selector, context);
  return { selector: parsed.selector, ports: ports.value };
}

/** People forget the ports: `tag:web` reads as alias `tag` and port `web`, `fd00::1` as alias `fd00:` and port 1. */
function forgottenPorts(text: string, context: CheckContext): string | undefined {
  const bare = text.replace(/^\[(.*)\]$/, "$1");
  const prefix = parsePrefixOrAddr(bare);
  if (prefix?.addr.family === 6) {
    const [addr = "", bits] = bare.split("/");
    return `write "[${addr}]${bits === undefined ? "" : `/${bits}`}:*" for all ports`;
  }
  return parseSelector({ text, at: 0 }, context.declared).ok ? `write "${text}:*" for all ports` : undefined;
}

function checkGrant(grant: RawGrant, index: number, context: CheckContext): Rule {
  const { problems } = context;
  if (grant.ip.length === 0 && grant.app.length === 0) {
    problems.error(grant.at, "ip and app can not both be empty", 'add "ip": ["*"] for all ports');
  }
  const src = checkSources(grant.src, grant.srcPosture, context, hasSelf(grant.dst) ? "grant" : "no");
  const entries = grant.ip.flatMap((entry): readonly IpEntry[] => {
    const parsed = parseIpEntry(entry.text);
    if (!parsed.ok) {
      problems.error(entry.at, parsed.error, parsed.hint);
      return [];
    }
    return [parsed.value];
  });
  const apps = grant.app.flatMap((app) => checkApp(app, context) ?? []);
  const dst = grant.dst.flatMap((item) => checkGrantTarget(item, grant.app.length > 0, context) ?? []);
  const plain = dst.filter((selector) => selector.kind !== "self");
  const self = dst.filter((selector) => selector.kind === "self");
  return {
    section: "grants",
    index,
    at: grant.at,
    src,
    dst: plain,
    self: self.length > 0,
    via: checkVia(grant.via, context),
    units: [...unitsOf(plain, entries, apps, false), ...unitsOf(self, entries, apps, true)],
  };
}

function unitsOf(
  selectors: readonly Selector[],
  entries: readonly IpEntry[],
  apps: readonly App[],
  self: boolean,
): readonly Unit[] {
  if (selectors.length === 0) {
    return [];
  }
  const target = (ports: readonly PortRange[]): readonly Target[] => selectors.map((selector) => ({ selector, ports }));
  const units: Unit[] = entries.map(({ protocol, ports }) => ({
    kind: "ports",
    protocol,
    targets: target(ports),
    self,
  }));
  if (apps.length > 0) {
    units.push({ kind: "apps", apps, targets: selectors, self });
  }
  return units;
}

function checkGrantTarget(item: Located, hasApp: boolean, context: CheckContext): Selector | undefined {
  const place = { text: item.text.trim(), at: item.at };
  const refuse = (message: string, hint?: Hint): undefined => {
    context.problems.error(place.at, message, hint);
    return undefined;
  };
  const parsed = parseSelector(place, context.declared);
  if (!parsed.ok) {
    const hint = (): string | undefined => strayPorts(place.text, context) ?? hintText(parsed.hint);
    return place.text.startsWith("autogroup:")
      ? refuse(
          `autogroup not supported for ACL destinations: ${JSON.stringify(place.text)}, can be [autogroup:internet autogroup:member autogroup:tagged autogroup:self]`,
          hint,
        )
      : refuse(parsed.error, hint);
  }
  const { selector } = parsed;
  if (selector.kind === "danger-all") {
    return refuse("cannot use autogroup:danger-all as a dst");
  }
  if (selector.kind === "internet" && hasApp) {
    return refuse("cannot use app grants with autogroup:internet");
  }
  const whole =
    selector.kind === "addresses" && selector.from !== "ipset"
      ? selector.prefixes.find(({ bits }) => bits === 0)
      : undefined;
  if (whole !== undefined) {
    return refuse(
      `dst ${JSON.stringify(formatPrefix(whole))}: to allow all IP addresses, use "*" or "autogroup:internet"`,
    );
  }
  noteUser(selector, context);
  return selector;
}

/** In grants ports do not stand behind the destination. */
function strayPorts(text: string, context: CheckContext): string | undefined {
  const parts = splitHostPort(text);
  return parts.ok &&
    parsePorts(parts.value.ports).ok &&
    parseSelector({ text: parts.value.alias, at: 0 }, context.declared).ok
    ? `in grants ports stand apart: "dst": ["${parts.value.alias}"], "ip": ["${parts.value.ports}"]`
    : undefined;
}

function checkVia(via: readonly Located[], context: CheckContext): readonly string[] {
  return via.flatMap((item) => {
    const text = item.text.trim();
    if (tagNameProblem(text) !== undefined) {
      const tag = `tag:${text}`;
      context.problems.error(
        item.at,
        "via can only be a tag",
        context.declared.tags.has(tag) ? `write ${JSON.stringify(tag)}` : `got ${JSON.stringify(text)}`,
      );
      return [];
    }
    if (!context.declared.tags.has(text)) {
      context.problems.error(item.at, `tag ${JSON.stringify(text)} not found`, () =>
        didYouMean(text, context.declared.tags, "tags are declared in tagOwners"),
      );
      return [];
    }
    return [text];
  });
}

/** Of Tailscale's own products: nobody else may use its domain. */
const ownCapabilities: ReadonlySet<string> = new Set([
  "tailscale.com/cap/drive",
  "tailscale.com/cap/relay",
  "tailscale.com/cap/webui",
  "tailscale.com/cap/kubernetes",
  "tailscale.com/cap/tsidp",
  "tailscale.com/cap/golink",
  "tailscale.com/cap/tailsql",
  "tailscale.com/cap/secrets",
  "tailscale.com/cap/aperture",
]);

function checkApp(app: RawApp, context: CheckContext): App | undefined {
  if (app.name.includes("://")) {
    context.problems.error(
      app.at,
      "capability name must have the form {domain}/{path}",
      `got ${JSON.stringify(app.name)}`,
    );
    return undefined;
  }
  if (app.name.startsWith("tailscale.com/") && !ownCapabilities.has(app.name)) {
    context.problems.error(
      app.at,
      "capability name must not be in the tailscale.com domain",
      `allowed there: ${[...ownCapabilities].join(", ")}`,
    );
    return undefined;
  }
  return { name: app.name, values: app.values };
}

/** A literal address or network, as opposed to a name that stands for one. */
export function isLiteralNetwork(text: string): boolean {
  return parseAddr(text) === undefined && parsePrefix(text) !== undefined;
}
