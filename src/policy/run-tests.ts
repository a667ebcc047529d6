// The policy's own tests: run whenever a policy is set or checked; a policy whose tests fail is refused. Here the bounds
// of all of them together and `tests`; `sshTests` are in run-ssh-tests.ts.
import { IpSet, prefixContains, prefixFirst, prefixOverlaps, type Prefix } from "../ip/index.ts";
import type { UserId } from "../wire/ids.ts";
import { elements, emptyBits, hasBit, setBit, type Bits } from "./bits.ts";
import type { CompiledEngine } from "./compiled-engine.ts";
import { addressesOf, namesAddress, steersThrough, type Entry } from "./entries.ts";
import type { PolicyTest, TestTarget, Unit } from "./policy.ts";
import { defaultProtocols } from "./ports.ts";
import type { PolicyProblem } from "./problems.ts";
import type { Reach, Source } from "./program.ts";
import { SshTestRunner } from "./run-ssh-tests.ts";
import { selectorKey, type Selector } from "./selectors.ts";
import { TestBudget, type TestFailure } from "./test-budget.ts";
import { isMember, TestSubjects, type Subject } from "./test-subjects.ts";

/** The lines of failing tests; empty when all hold. Tests that were not run for want of time have failed. */
export function runTests(engine: CompiledEngine): readonly PolicyProblem[] {
  const { policy } = engine.program;
  const { brokenTests, tests, sshTests } = policy;
  if (brokenTests.length + tests.length + sshTests.length === 0) {
    return [];
  }
  const subjects = new TestSubjects(engine);
  const budget = new TestBudget();
  const runner = new Runner(engine, subjects, budget);
  const sshRunner = new SshTestRunner(engine, subjects, budget);
  const failures = [
    ...brokenTests.map(({ at, message }) => ({ at, message })),
    ...tests.flatMap((test) => runner.test(test)),
    ...sshTests.flatMap((test) => sshRunner.test(test)),
    ...budget.unfinished(),
  ];
  const shown = failures.slice(0, maxShown).map(({ at, message }) => ({ message, ...engine.positions.of(at) }));
  return failures.length <= maxShown
    ? shown
    : [...shown, { message: `${failures.length - maxShown} more tests failed`, line: 0, column: 0 }];
}

/** Nobody reads more, and finding the place of each on a long line is dear. */
const maxShown = 100;

/** Rules that open a target: ordinary ones, and those towards one's own devices. */
interface Opened {
  readonly plain: readonly number[];
  readonly self: readonly number[];
}

/** The sources of a test, by what rules can tell apart. */
interface Senders {
  readonly classes: readonly { readonly src: Bits; readonly entries: readonly Entry[] }[];
  readonly addresses: readonly Extract<Subject, { kind: "address" }>[];
  /** Rules for any of the classes, and those for all of them: they answer most questions at once. */
  readonly any: Bits;
  readonly all: Bits;
}

class Runner {
  readonly #engine: CompiledEngine;
  readonly #subjects: TestSubjects;
  readonly #budget: TestBudget;
  readonly #senders = new Map<string, Senders>();
  readonly #candidates = new Map<string, readonly Reach[]>();
  /** Selector of a rule and selector of a target: does the one hold something of the other? */
  readonly #held = new Map<string, boolean>();
  readonly #owners = new Map<string, ReadonlySet<UserId>>();
  readonly #steered = new Map<Reach, boolean>();
  #routed: IpSet | undefined;

  constructor(engine: CompiledEngine, subjects: TestSubjects, budget: TestBudget) {
    this.#engine = engine;
    this.#subjects = subjects;
    this.#budget = budget;
  }

  test(test: PolicyTest): readonly TestFailure[] {
    const senders = this.#sendersOf(test);
    if (senders.classes.length + senders.addresses.length === 0) {
      return [
        { at: test.at, message: `test ${test.index}: src=${JSON.stringify(test.srcText)} resolves to no address` },
      ];
    }
    const suffix = test.protocolText === "" ? "" : ` (${test.protocolText})`;
    const check = (target: TestTarget, wanted: boolean): readonly TestFailure[] => {
      const fail = (message: string): readonly TestFailure[] => [{ at: target.at, message }];
      if (target.selector.kind !== "self" && this.#subjects.of(target.selector).length === 0) {
        return fail(`test ${test.index}: ${JSON.stringify(target.text)} resolves to no address`);
      }
      const candidates = this.#candidatesFor(target.selector);
      if (!this.#budget.allows(candidates.length, target.at)) {
        return [];
      }
      const opened = this.#openedBy(candidates, target, test.protocol);
      const allowed = this.#isPlain(senders, opened, wanted) ?? this.#isAllowedWithin(senders, target, opened, wanted);
      if (allowed === undefined) {
        return [];
      }
      return allowed === wanted
        ? []
        : fail(
            `${test.srcText} -> ${target.text}: expected ${wanted ? "ALLOWED, got DENIED" : "DENIED, got ALLOWED"}${suffix}`,
          );
    };
    return [
      ...test.accept.flatMap((target) => check(target, true)),
      ...test.deny.flatMap((target) => check(target, false)),
    ];
  }

  #sendersOf(test: PolicyTest): Senders {
    const attributes = test.attributes === undefined ? "" : JSON.stringify(test.attributes);
    const key = `${selectorKey(test.src)} ${attributes}`;
    const known = this.#senders.get(key) ?? this.#findSenders(test);
    this.#senders.set(key, known);
    return known;
  }

  #findSenders(test: PolicyTest): Senders {
    const addresses: Senders["addresses"][number][] = [];
    const byClass = new Map<string, { readonly src: Bits; readonly entries: Entry[] }>();
    for (const subject of this.#subjects.of(test.src)) {
      if (subject.kind === "address") {
        addresses.push({ ...subject, entry: subject.entry && this.#withAttributes(subject.entry, test) });
        continue;
      }
      const entry = this.#withAttributes(subject.entry, test);
      const behind = entry.subnets.length > 0;
      const key = behind ? `router ${entry.node.id}` : entry.cls.key;
      // What is behind a router is not the router.
      const src = behind ? this.#engine.splitSource(entry).own : entry.cls.src;
      const found = byClass.get(key) ?? { src, entries: [] };
      found.entries.push(entry);
      byClass.set(key, found);
    }
    const classes = [...byClass.values()];
    const empty = emptyBits(this.#engine.program.reaches.length);
    return {
      classes,
      addresses,
      any: empty.map((_, word) => classes.reduce((bits, { src }) => bits | (src[word] ?? 0), 0)),
      all: empty.map((_, word) => classes.reduce((bits, { src }) => bits & (src[word] ?? 0), -1)),
    };
  }

  #withAttributes(entry: Entry, { attributes }: PolicyTest): Entry {
    return attributes === undefined
      ? entry
      : this.#engine.makeEntry({ ...entry.node, posture: { ...entry.node.posture, ...attributes } });
  }

  /** The answer where no class needs to be asked alone. */
  #isPlain(senders: Senders, opened: Opened, wanted: boolean): boolean | undefined {
    if (senders.addresses.length > 0) {
      return undefined;
    }
    if (![...opened.plain, ...opened.self].some((id) => hasBit(senders.any, id))) {
      return false;
    }
    return opened.plain.some((id) => hasBit(wanted ? senders.all : senders.any, id)) ? true : undefined;
  }

  /** Undefined: there is no time left for so many. */
  #isAllowedWithin(senders: Senders, target: TestTarget, opened: Opened, wanted: boolean): boolean | undefined {
    const askers = senders.classes.length + senders.addresses.length;
    return this.#budget.allows(askers * (1 + opened.plain.length + opened.self.length), target.at)
      ? this.#isAllowed(senders, target, opened, wanted)
      : undefined;
  }

  /** To be allowed, everybody must reach it; to be denied, nobody. */
  #isAllowed(senders: Senders, target: TestTarget, opened: Opened, wanted: boolean): boolean {
    const isOwn = this.#ownersOf(target.selector);
    const byClass = senders.classes.map(
      ({ src, entries }) =>
        opened.plain.some((id) => hasBit(src, id)) ||
        (opened.self.some((id) => hasBit(src, id)) && (wanted ? entries.every(isOwn) : entries.some(isOwn))),
    );
    const byAddress = senders.addresses.map((subject) => this.#reachesFromAddress(subject, target, opened));
    const reached = [...byClass, ...byAddress];
    return wanted ? reached.every(Boolean) : reached.some(Boolean);
  }

  #reachesFromAddress({ prefix, entry }: Senders["addresses"][number], target: TestTarget, opened: Opened): boolean {
    const { reaches } = this.#engine.program;
    const isSource = (id: number): boolean => {
      const source = reaches[id]?.source;
      return source !== undefined && this.#holdsAddress(source, prefix, entry);
    };
    return (
      opened.plain.some(isSource) ||
      (entry !== undefined && opened.self.some(isSource) && this.#ownersOf(target.selector)(entry))
    );
  }

  /** Every rule that might open the target. */
  #candidatesFor(target: Selector): readonly Reach[] {
    const key = selectorKey(target);
    const known = this.#candidates.get(key) ?? this.#findCandidates(target);
    this.#candidates.set(key, known);
    return known;
  }

  #findCandidates(target: Selector): readonly Reach[] {
    const { program } = this.#engine;
    if (target.kind === "any") {
      return program.reaches;
    }
    const bits = emptyBits(program.reaches.length);
    const add = (more: Bits): void => more.forEach((word, index) => (bits[index] = (bits[index] ?? 0) | word));
    add(program.selfReaches);
    add(program.anyReaches);
    program.viaReaches.forEach(({ id }) => setBit(bits, id));
    for (const subject of this.#subjects.of(target)) {
      if (subject.entry !== undefined) {
        add(subject.entry.cls.dst);
      }
      if (subject.kind === "address") {
        program.reachPrefixes.forOverlaps(subject.prefix, (reach) => setBit(bits, reach));
      }
    }
    return elements(bits).flatMap((id) => program.reaches[id] ?? []);
  }

  #openedBy(candidates: readonly Reach[], target: TestTarget, protocol: number | undefined): Opened {
    const plain: number[] = [];
    const self: number[] = [];
    for (const reach of candidates) {
      const opens = reach.rule.units.some(
        (unit) => unit.self === reach.self && unit.kind === "ports" && this.#opens(reach, unit, target, protocol),
      );
      if (opens) {
        (reach.self ? self : plain).push(reach.id);
      }
    }
    return { plain, self };
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

  #isTarget(reach: Reach, selector: Selector, target: TestTarget): boolean {
    if (target.selector.kind === "self") {
      return false;
    }
    const key = `${reach.via.length > 0 ? "via" : ""} ${selectorKey(selector)}\u0000${selectorKey(target.selector)}`;
    const held =
      this.#held.get(key) ??
      (selector.kind === "any" ||
        target.selector.kind === "any" ||
        this.#subjects.of(target.selector).some((subject) => this.#isDestination(reach, selector, subject)));
    this.#held.set(key, held);
    return held && (reach.via.length === 0 || this.#isSteered(reach));
  }

  /** Tests see a steered rule once some router with the tag serves it. */
  #isSteered(reach: Reach): boolean {
    let steered = this.#steered.get(reach);
    if (steered === undefined) {
      steered = [...this.#engine.entries()].some((entry) => steersThrough(reach, entry));
      this.#steered.set(reach, steered);
    }
    return steered;
  }

  /** Is the target (also) a device of the same person? */
  #ownersOf(target: Selector): (source: Entry) => boolean {
    if (target.kind === "self") {
      return ({ identity }) => identity.user !== undefined;
    }
    const key = selectorKey(target);
    let owners = this.#owners.get(key);
    if (owners === undefined) {
      owners = new Set(this.#subjects.of(target).flatMap(({ entry }) => entry?.identity.user?.id ?? []));
      this.#owners.set(key, owners);
    }
    const found = owners;
    return ({ identity }) => identity.user !== undefined && found.has(identity.user.id);
  }

  #isDestination(reach: Reach, selector: Selector, subject: Subject): boolean {
    if (selector.kind === "nodes") {
      return reach.via.length === 0 && subject.entry !== undefined && isMember(this.#engine, subject.entry, selector);
    }
    return (
      selector.kind === "addresses" &&
      selector.prefixes.some((prefix) =>
        subject.kind === "node"
          ? addressesOf(subject.entry.node).some((addr) => prefixContains(prefix, addr))
          : prefixOverlaps(prefix, subject.prefix),
      )
    );
  }

  /** Is an address that is written out among the source? */
  #holdsAddress(source: Source, prefix: Prefix, entry: Entry | undefined): boolean {
    if (entry?.sources.includes(source.id) === true) {
      return true;
    }
    if (source.postures.length > 0) {
      return false;
    }
    return (
      source.addresses.covers(prefix) ||
      namesAddress(source, prefixFirst(prefix)) ||
      (source.any && this.#routes().covers(prefix))
    );
  }

  #routes(): IpSet {
    this.#routed ??= IpSet.ofPrefixes([...this.#engine.entries()].flatMap(({ subnets }) => subnets));
    return this.#routed;
  }
}

/** Does a line for `protocol` carry what a test asks for? A test without protocol asks for its port by TCP or UDP. */
function carries(protocol: number | undefined, asked: number | undefined): boolean {
  if (asked === undefined) {
    return protocol === undefined || protocol === 6 || protocol === 17;
  }
  return protocol === undefined ? defaultProtocols.includes(asked) : protocol === asked;
}
