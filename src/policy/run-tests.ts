// The policy's own tests: `tests` over addresses and ports, `sshTests` over nodes and login names. They are run whenever
// a policy is set or checked; a policy whose tests fail is refused.
import { addrKey, prefixContains, prefixFirst, prefixOverlaps, type Prefix } from "../ip/index.ts";
import { elements, emptyBits, intersects, setBit, type Bits } from "./bits.ts";
import type { CompiledEngine } from "./compiled-engine.ts";
import { addressesOf, steersThrough, type Entry } from "./entries.ts";
import { isInSet } from "./filter-destinations.ts";
import { tailnetSet } from "./networks.ts";
import type { PolicyTest, SshTest, TestTarget, Unit } from "./policy.ts";
import { defaultProtocols } from "./ports.ts";
import type { PolicyProblem } from "./problems.ts";
import type { Reach, Source } from "./program.ts";
import { selectorKey, type Selector } from "./selectors.ts";

/** One thing that a test's source or destination stands for: a node, or an address that is written out. */
type Subject = { readonly kind: "node"; readonly entry: Entry } | { readonly kind: "address"; readonly prefix: Prefix };

/**
 * How often all tests together may look at a rule, a few seconds of work. A text of a few megabytes can ask for a
 * thousand times as much, and a server that answers it does nothing else meanwhile.
 */
const maxLooks = 30_000_000;

/** The lines of failing tests; empty when all hold. Tests that were not run for want of time have failed. */
export function runTests(engine: CompiledEngine): readonly PolicyProblem[] {
  const runner = new Runner(engine);
  const { policy } = engine.program;
  const failures = [
    ...policy.brokenTests.map(({ at, message }) => ({ at, message })),
    ...policy.tests.flatMap((test) => runner.test(test)),
    ...policy.sshTests.flatMap((test) => runner.sshTest(test)),
    ...runner.unfinished(),
  ];
  return failures.map(({ at, message }) => ({ message, ...engine.positions.of(at) }));
}

interface Opened {
  readonly plain: Bits;
  readonly self: Bits;
}

interface Failure {
  readonly at: number;
  readonly message: string;
}

class Runner {
  readonly #engine: CompiledEngine;
  readonly #byAddress = new Map<number | string, Entry>();
  readonly #known = new Map<string, readonly Subject[]>();
  #looksLeft = maxLooks;
  #gaveUpAt: number | undefined;

  constructor(engine: CompiledEngine) {
    this.#engine = engine;
    for (const entry of engine.entries()) {
      addressesOf(entry.node).forEach((addr) => this.#byAddress.set(addrKey(addr), entry));
    }
  }

  /** Room for so many looks at rules? When there is none, what stands at `at` is the first that was not tested. */
  #mayLook(times: number, at: number): boolean {
    this.#looksLeft -= times;
    if (this.#looksLeft < 0) {
      this.#gaveUpAt ??= at;
    }
    return this.#looksLeft >= 0;
  }

  unfinished(): readonly Failure[] {
    const message = "the tests take too long with so many rules and nodes: from here on they were not run";
    return this.#gaveUpAt === undefined ? [] : [{ at: this.#gaveUpAt, message }];
  }

  test(test: PolicyTest): readonly Failure[] {
    const sources = distinct(this.#subjects(test.src).map((subject) => this.#withAttributes(subject, test)));
    if (sources.length === 0) {
      return [
        { at: test.at, message: `test ${test.index}: src=${JSON.stringify(test.srcText)} resolves to no address` },
      ];
    }
    const suffix = test.protocolText === "" ? "" : ` (${test.protocolText})`;
    const rules = this.#engine.program.reaches.length;
    const ranges = sources.filter(({ kind }) => kind === "address").length;
    const check = (target: TestTarget, wanted: boolean): readonly Failure[] => {
      if (!this.#mayLook(rules * (1 + ranges + this.#subjects(target.selector).length), target.at)) {
        return [];
      }
      const opened = this.#openedBy(target, test.protocol);
      const reached = sources.map((source) => this.#reaches(source, target, opened));
      const allowed = wanted ? reached.every(Boolean) : reached.some(Boolean);
      return allowed === wanted
        ? []
        : [
            {
              at: target.at,
              message: `${test.srcText} -> ${target.text}: expected ${wanted ? "ALLOWED, got DENIED" : "DENIED, got ALLOWED"}${suffix}`,
            },
          ];
    };
    return [
      ...test.accept.flatMap((target) => check(target, true)),
      ...test.deny.flatMap((target) => check(target, false)),
    ];
  }

  /** What the text of a test stands for in this tailnet. */
  #subjects(selector: Selector): readonly Subject[] {
    const key = selectorKey(selector);
    const known = this.#known.get(key) ?? this.#findSubjects(selector);
    this.#known.set(key, known);
    return known;
  }

  #findSubjects(selector: Selector): readonly Subject[] {
    const nodes = (entries: Iterable<Entry>): readonly Subject[] =>
      [...entries].map((entry) => ({ kind: "node", entry }));
    switch (selector.kind) {
      case "any":
        return nodes(this.#engine.entries());
      case "nodes":
        return nodes([...this.#engine.entries()].filter((entry) => isMember(this.#engine, entry, selector)));
      case "addresses":
        return selector.prefixes.map((prefix) => {
          const single = prefix.bits === (prefix.addr.family === 4 ? 32 : 128);
          const entry = single ? this.#byAddress.get(addrKey(prefix.addr)) : undefined;
          return entry === undefined ? { kind: "address", prefix } : { kind: "node", entry };
        });
      case "danger-all":
      case "internet":
      case "self":
        return [];
    }
  }

  #withAttributes(subject: Subject, test: PolicyTest): Subject {
    return subject.kind === "address" || test.attributes === undefined
      ? subject
      : {
          kind: "node",
          entry: this.#engine.makeEntry({
            ...subject.entry.node,
            posture: { ...subject.entry.node.posture, ...test.attributes },
          }),
        };
  }

  /** The rules that open the target, whoever asks; those towards autogroup:self apart. */
  #openedBy(target: TestTarget, protocol: number | undefined): Opened {
    const { reaches } = this.#engine.program;
    const opened = { plain: emptyBits(reaches.length), self: emptyBits(reaches.length) };
    for (const reach of reaches) {
      const opens = reach.rule.units.some(
        (unit) => unit.self === reach.self && unit.kind === "ports" && this.#opens(reach, unit, target, protocol),
      );
      if (opens) {
        setBit(reach.self ? opened.self : opened.plain, reach.id);
      }
    }
    return opened;
  }

  #opens(
    reach: Reach,
    unit: Extract<Unit, { kind: "ports" }>,
    target: TestTarget,
    protocol: number | undefined,
  ): boolean {
    return (
      carries(unit.protocol, protocol) &&
      unit.targets.some(
        ({ selector, ports }) =>
          ports.some(({ first, last }) => first <= target.port && target.port <= last) &&
          (reach.self || this.#isTarget(reach, selector, target)),
      )
    );
  }

  #reaches(source: Subject, target: TestTarget, opened: Opened): boolean {
    if (source.kind === "address") {
      const { reaches } = this.#engine.program;
      return elements(opened.plain).some((id) => {
        const reach = reaches[id];
        return reach !== undefined && holdsAddress(this.#engine, reach.source, source.prefix);
      });
    }
    // What is behind a router is not the router.
    const { entry } = source;
    const src = entry.subnets.length === 0 ? entry.cls.src : this.#engine.splitSource(entry).own;
    return intersects(src, opened.plain) || (intersects(src, opened.self) && this.#isOwn(entry, target.selector));
  }

  #isTarget(reach: Reach, selector: Selector, target: TestTarget): boolean {
    if (target.selector.kind === "self") {
      return false;
    }
    if (selector.kind === "any") {
      return reach.via.length === 0 || this.#isSteered(reach);
    }
    if (target.selector.kind === "any") {
      return false;
    }
    return this.#subjects(target.selector).some((subject) => this.#isDestination(reach, selector, subject));
  }

  /** Tests see a steered rule once some router with the tag serves it. */
  #isSteered(reach: Reach): boolean {
    for (const entry of this.#engine.entries()) {
      if (steersThrough(reach, entry)) {
        return true;
      }
    }
    return false;
  }

  #isOwn(source: Entry, target: Selector): boolean {
    const { user } = source.identity;
    if (user === undefined) {
      return false;
    }
    return (
      target.kind === "self" ||
      this.#subjects(target).some((subject) => subject.kind === "node" && subject.entry.identity.user?.id === user.id)
    );
  }

  #isDestination(reach: Reach, selector: Selector, subject: Subject): boolean {
    if (selector.kind === "nodes") {
      return reach.via.length === 0 && subject.kind === "node" && isMember(this.#engine, subject.entry, selector);
    }
    if (selector.kind !== "addresses") {
      return false;
    }
    const held = selector.prefixes.some((prefix) =>
      subject.kind === "node"
        ? addressesOf(subject.entry.node).some((addr) => prefixContains(prefix, addr))
        : prefixOverlaps(prefix, subject.prefix),
    );
    return held && (reach.via.length === 0 || this.#isSteered(reach));
  }

  sshTest(test: SshTest): readonly Failure[] {
    const sources = this.#subjects(test.src).flatMap((subject) => (subject.kind === "node" ? [subject.entry] : []));
    const fail = (at: number, message: string): Failure => ({ at, message });
    if (sources.length === 0) {
      return [fail(test.at, `sshTest ${test.index}: src=${JSON.stringify(test.srcText)} resolves to no node`)];
    }
    return test.dst.flatMap((selector) => {
      const targets = this.#sshTargets(selector, sources);
      if (targets.length === 0) {
        return [
          fail(selector.at, `sshTest ${test.index}: dst alias ${JSON.stringify(selector.text)} resolved to no nodes`),
        ];
      }
      const line = (login: string): string => `${test.srcText}/${login} -> ${selector.text}`;
      const verdicts = (login: string): readonly Verdict[] =>
        sources.flatMap((from) => targets.filter((to) => to !== from).map((to) => this.#login(from, to, login)));
      const expect = (
        logins: SshTest["accept"],
        wanted: string,
        holds: (verdict: Verdict) => boolean,
      ): readonly Failure[] =>
        logins.flatMap(({ text, at }) => {
          if (!this.#mayLook(sources.length * targets.length * this.#engine.ssh.ordered().length, at)) {
            return [];
          }
          const wrong = verdicts(text).find((verdict) => !holds(verdict));
          return wrong === undefined ? [] : [fail(at, `${line(text)}: expected ${wanted}, got ${verdictText(wrong)}`)];
        });
      return [
        ...expect(test.accept, "ALLOWED", (verdict) => verdict.any),
        ...expect(test.deny, "DENIED", (verdict) => !verdict.any),
        ...expect(test.check, "ALLOWED via check", (verdict) => verdict.check),
      ];
    });
  }

  /** A bare IPv6 address never names a node here: Tailscale fails such a test. */
  #sshTargets(selector: Selector, sources: readonly Entry[]): readonly Entry[] {
    if (selector.kind === "self") {
      return sources.flatMap((from) =>
        from.identity.user === undefined ? [] : [...this.#engine.entriesOfUser(from.identity.user.id)],
      );
    }
    if (selector.kind === "addresses" && selector.from === "literal" && selector.text.includes(":")) {
      return [];
    }
    return this.#subjects(selector).flatMap((subject) => (subject.kind === "node" ? [subject.entry] : []));
  }

  #login(from: Entry, to: Entry, login: string): Verdict {
    const rules = this.#engine.ssh.ordered().filter((rule) => this.#engine.ssh.admits(rule, from, to, login));
    return { any: rules.length > 0, check: rules.some(({ action }) => action === "check") };
  }
}

/** Devices of one person that no rule tells apart reach the same: one of them is asked. */
function distinct(subjects: readonly Subject[]): readonly Subject[] {
  const seen = new Map<unknown, Set<unknown>>();
  return subjects.filter((subject) => {
    if (subject.kind === "address") {
      return true;
    }
    const owners = seen.get(subject.entry.cls.key) ?? new Set();
    seen.set(subject.entry.cls.key, owners);
    const owner = subject.entry.identity.user?.id;
    const first = !owners.has(owner);
    owners.add(owner);
    return first;
  });
}

interface Verdict {
  readonly any: boolean;
  readonly check: boolean;
}

function verdictText(verdict: Verdict): string {
  return verdict.check ? "ALLOWED via check" : verdict.any ? "ALLOWED via accept" : "DENIED";
}

/** Does a line for `protocol` carry what a test asks for? A test without protocol asks for its port by TCP or UDP. */
function carries(protocol: number | undefined, asked: number | undefined): boolean {
  if (asked === undefined) {
    return protocol === undefined || protocol === 6 || protocol === 17;
  }
  return protocol === undefined ? defaultProtocols.includes(asked) : protocol === asked;
}

function isMember(engine: CompiledEngine, entry: Entry, selector: Extract<Selector, { kind: "nodes" }>): boolean {
  return isInSet(entry, selector, engine.program) || inSetByName(engine, entry, selector);
}

/** Names that only a test uses are in no index. */
function inSetByName(engine: CompiledEngine, entry: Entry, selector: Extract<Selector, { kind: "nodes" }>): boolean {
  const { user, tags } = entry.identity;
  switch (selector.set.kind) {
    case "tag":
      return tags.includes(selector.set.name);
    case "tagged":
      return tags.length > 0;
    case "member":
      return user !== undefined;
    case "shared":
      return false;
    case "user":
      return user !== undefined && engine.directory.resolve(selector.set.token)?.id === user.id;
    case "group":
      return user !== undefined && engine.directory.groupsOf(user).has(selector.set.name);
    case "domain":
      return user?.email.toLowerCase().endsWith(`@${selector.set.domain}`) === true;
    case "role":
      return user?.role === selector.set.role;
  }
}

/** Is an address that is written out among the source? */
function holdsAddress(engine: CompiledEngine, source: Source, prefix: Prefix): boolean {
  if (source.postures.length > 0) {
    return false;
  }
  return (
    source.danger ||
    source.addresses.covers(prefix) ||
    (source.any && (tailnetSet.covers(prefix) || isRouted(engine, prefix)))
  );
}

function isRouted(engine: CompiledEngine, prefix: Prefix): boolean {
  for (const entry of engine.entries()) {
    if (entry.subnets.some((route) => route.bits <= prefix.bits && prefixContains(route, prefixFirst(prefix)))) {
      return true;
    }
  }
  return false;
}
