// The ssh section: who may log in where, as whom, with or without being asked again.
import { formatDuration, parseDuration } from "./durations.ts";
import { lookUpPostures, noteUser, type CheckContext } from "./check-context.ts";
import type { SshAction, SshRule } from "./policy.ts";
import type { Hint } from "./problems.ts";
import type { RawSsh } from "./raw.ts";
import { domainProblem, parseSelector, type Selector, type SelectorResult } from "./selectors.ts";
import type { Located } from "./source.ts";

const defaultCheckPeriod = 12 * 3_600_000;
const maxCheckPeriod = 168 * 3_600_000;

export function checkSsh(rules: readonly RawSsh[], context: CheckContext): readonly SshRule[] {
  return rules.map((rule, index) => checkSshRule(rule, index, context));
}

function checkSshRule(rule: RawSsh, index: number, context: CheckContext): SshRule {
  const action = checkAction(rule, context);
  const src = rule.src.flatMap((item) => checkSource(item, context) ?? []);
  const dst = rule.dst.flatMap((item) => checkDestination(item, context) ?? []);
  checkCombination(rule.src.length > 0 && src.length === 0 ? undefined : src, dst, context);
  const logins = checkLogins(rule, context);
  warnOfRecorder(rule, context);
  for (const env of rule.acceptEnv) {
    if (env.text === "") {
      context.problems.error(env.at, "acceptEnv values cannot be empty");
    }
  }
  return {
    index,
    at: rule.at,
    action,
    src: {
      selectors: src,
      postures: lookUpPostures(rule.srcPosture, context.postures, context.problems),
    },
    dst: dst.filter((selector) => selector.kind !== "self"),
    self: dst.some((selector) => selector.kind === "self"),
    ...logins,
    checkPeriod: checkPeriodOf(rule, action, context),
    acceptEnv: rule.acceptEnv.map(({ text }) => text),
    recorders: rule.recorder.flatMap((item) => checkRecorder(item, context) ?? []),
    enforceRecorder: rule.enforceRecorder,
  };
}

/** Nobody can be sent away for want of a recorder where none is named. */
function warnOfRecorder(rule: RawSsh, context: CheckContext): void {
  if (rule.enforceRecorder && rule.recorder.length === 0) {
    context.problems.warn(rule.at, "enforceRecorder without recorder has no effect");
  }
}

function checkAction(rule: RawSsh, context: CheckContext): SshAction {
  const text = rule.action?.text.trim() ?? "";
  if (text === "accept" || text === "check") {
    return text;
  }
  context.problems.error(
    rule.action?.at ?? rule.at,
    text === "" ? "action must be specified" : `${JSON.stringify(text)} is not a valid action`,
    'it is "accept" or "check"',
  );
  return "check";
}

function checkSource(item: Located, context: CheckContext): Selector | undefined {
  const place = { text: item.text.trim(), at: item.at };
  const parsed = parseSelector(place, context.declared);
  if (!parsed.ok || parsed.selector.kind !== "nodes") {
    const { error, hint } = wrongPlace(parsed, place.text, "src");
    context.problems.error(place.at, error, hint);
    return undefined;
  }
  noteUser(parsed.selector, context);
  return parsed.selector;
}

function checkDestination(item: Located, context: CheckContext): Selector | undefined {
  const place = { text: item.text.trim(), at: item.at };
  const refuse = (message: string, hint?: Hint): undefined => {
    context.problems.error(place.at, message, hint);
    return undefined;
  };
  if (place.text === "*") {
    return refuse(
      "wildcard (*) is not supported as SSH destination; use 'autogroup:member' for user-owned devices, 'autogroup:tagged' for tagged devices, or specific tags/users",
    );
  }
  const parsed = parseSelector(place, context.declared);
  if (parsed.ok && parsed.selector.kind === "self") {
    return parsed.selector;
  }
  const many = parsed.ok && parsed.selector.kind === "nodes" && /^(?:group|domain)$/.test(parsed.selector.set.kind);
  if (!parsed.ok || parsed.selector.kind !== "nodes" || many) {
    const { error, hint } = wrongPlace(parsed, place.text, "dst");
    return refuse(error, hint);
  }
  noteUser(parsed.selector, context);
  return parsed.selector;
}

const fitting = {
  src: {
    all: "sources of SSH rules are users, groups, tags and autogroups",
    autogroups: "SSH sources",
    names: "autogroup:member autogroup:tagged",
  },
  dst: {
    all: "destinations of SSH rules are users, tags, autogroup:self, autogroup:member and autogroup:tagged",
    autogroups: "SSH destinations",
    names: "autogroup:member autogroup:tagged autogroup:self",
  },
} as const;

/** What to say of something that cannot stand in `src` or `dst` of an SSH rule. */
function wrongPlace(
  parsed: SelectorResult,
  text: string,
  place: "src" | "dst",
): { readonly error: string; readonly hint?: Hint } {
  const { all, autogroups, names } = fitting[place];
  if (text === "autogroup:internet") {
    return { error: "autogroup:internet can only be used in ACL destinations", hint: all };
  }
  if (text.startsWith("autogroup:")) {
    return { error: `autogroup not supported for ${autogroups}: ${JSON.stringify(text)}, can be [${names}]` };
  }
  if (!parsed.ok && /^(?:tag|user):/.test(text)) {
    const section = text.startsWith("user:*@") ? "[ssh] " : "";
    return { error: `${section}${parsed.error}`, ...(parsed.hint === undefined ? {} : { hint: parsed.hint }) };
  }
  return !parsed.ok && text.startsWith("group:") && place === "src"
    ? { error: parsed.error, hint: parsed.hint }
    : {
        error: `invalid ${place} ${JSON.stringify(text)}`,
        hint: /^[a-zA-Z][\w.-]*$/.test(text) ? `${all}; a user is written ${JSON.stringify(`${text}@`)}` : all,
      };
}

function isTagSource(selector: Selector): boolean {
  return selector.kind === "nodes" && (selector.set.kind === "tag" || selector.set.kind === "tagged");
}

/** Tagged machines may not log in to people's devices, nor one person to another's. */
function checkCombination(src: readonly Selector[] | undefined, dst: readonly Selector[], context: CheckContext): void {
  // What is wrong with every source has been said.
  if (src === undefined) {
    return;
  }
  const fromTags = src.some(isTagSource);
  for (const selector of dst) {
    if (selector.kind === "self") {
      if (fromTags) {
        context.problems.error(
          selector.at,
          "autogroup:self destination requires source to contain only users or groups, not tags or autogroup:tagged",
        );
      }
    } else if (selector.kind === "nodes" && selector.set.kind === "user") {
      checkUserDestination(selector, selector.set.token, src, fromTags, context);
    } else if (selector.kind === "nodes" && selector.set.kind === "member" && fromTags) {
      context.problems.error(selector.at, "tags in SSH source cannot access autogroup:member (user-owned devices)");
    }
  }
}

function checkUserDestination(
  selector: Selector,
  token: string,
  src: readonly Selector[],
  fromTags: boolean,
  context: CheckContext,
): void {
  if (fromTags) {
    context.problems.error(
      selector.at,
      `tags in SSH source cannot access user-owned devices (${selector.text}); use autogroup:tagged or specific tags as destinations instead`,
    );
    return;
  }
  const [only] = src;
  const same = src.length === 1 && only?.kind === "nodes" && only.set.kind === "user" && only.set.token === token;
  if (!same) {
    context.problems.error(
      selector.at,
      `user destination requires source to contain only that same user ${JSON.stringify(selector.text)}; use autogroup:self instead for same-user SSH access`,
    );
  }
}

function checkLogins(rule: RawSsh, context: CheckContext): Pick<SshRule, "logins" | "root" | "nonroot" | "localparts"> {
  if (rule.users.length === 0) {
    context.problems.error(rule.at, "users must be specified", 'for instance "users": ["autogroup:nonroot"]');
  }
  const logins: string[] = [];
  const localparts: string[] = [];
  const users = rule.users.map(({ text, at }) => ({ text: text.trim(), at }));
  for (const { text, at } of users) {
    if (text === "" || text === "*") {
      context.problems.error(
        at,
        `user ${JSON.stringify(text)} is not valid`,
        "autogroup:nonroot is everybody but root",
      );
    } else if (text.startsWith("localpart:")) {
      const domain = localpartDomain(text);
      const problem = domain === undefined ? undefined : sshDomainProblem(domain, context);
      if (domain === undefined) {
        // Tailscale takes whatever it does not know for a login name, and so this.
        context.problems.warn(at, `user ${JSON.stringify(text)} is a login name like any other`, localpartHint);
        logins.push(text);
      } else if (problem !== undefined) {
        context.problems.error(at, problem);
      } else {
        localparts.push(domain.toLowerCase());
      }
    } else if (text !== "autogroup:nonroot" && text !== "root") {
      logins.push(text);
    }
  }
  return {
    logins,
    localparts,
    root: users.some(({ text }) => text === "root"),
    nonroot: users.some(({ text }) => text === "autogroup:nonroot"),
  };
}

/** Tailscale says where it found the domain, in SSH rules alone. */
function sshDomainProblem(domain: string, context: CheckContext): string | undefined {
  const problem = domainProblem(domain, context.declared);
  return problem === undefined ? undefined : `[ssh] ${problem}`;
}

const localpartHint = "local parts of addresses are localpart:*@<domain>";

function localpartDomain(text: string): string | undefined {
  return text.startsWith("localpart:*@") ? text.slice("localpart:*@".length) : undefined;
}

function checkPeriodOf(rule: RawSsh, action: SshAction, context: CheckContext): number {
  const period = rule.checkPeriod;
  if (period === undefined) {
    return defaultCheckPeriod;
  }
  const refuse = (message: string, hint?: string): number => {
    context.problems.error(period.at, message, hint);
    return defaultCheckPeriod;
  };
  if (action === "accept") {
    return refuse('checkPeriod is only valid with action "check"');
  }
  if (period.text === "always") {
    return 0;
  }
  const parsed = parseDuration(period.text);
  if (!parsed.ok) {
    const days = /^(\d+)d$/.exec(period.text)?.[1];
    return refuse(
      parsed.error,
      days === undefined ? 'a duration is written "30m" or "12h"; or "always"' : `write "${24 * Number(days)}h"`,
    );
  }
  if (parsed.value < 0) {
    return refuse(`checkPeriod ${formatDuration(parsed.value)} must be a positive duration`);
  }
  if (parsed.value > maxCheckPeriod) {
    return refuse(`checkPeriod ${formatDuration(parsed.value)} is above the max (168h)`);
  }
  return parsed.value === 0 ? defaultCheckPeriod : parsed.value;
}

function checkRecorder(item: Located, context: CheckContext): Selector | undefined {
  const place = { text: item.text.trim(), at: item.at };
  const parsed = parseSelector(place, context.declared);
  const fits =
    parsed.ok &&
    (parsed.selector.kind === "addresses" || (parsed.selector.kind === "nodes" && parsed.selector.set.kind === "tag"));
  if (!parsed.ok || !fits) {
    context.problems.error(
      place.at,
      parsed.ok ? `invalid recorder ${JSON.stringify(place.text)}` : parsed.error,
      "recorders are tags, hosts or addresses",
    );
    return undefined;
  }
  return parsed.selector;
}
