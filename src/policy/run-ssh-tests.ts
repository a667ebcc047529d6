// `sshTests`: who may log in where under which name. Nodes that no SSH rule tells apart are asked once for all of them.
import type { CompiledEngine } from "./compiled-engine.ts";
import type { Entry } from "./entries.ts";
import type { SshTest } from "./policy.ts";
import { selectorKey, type Selector } from "./selectors.ts";
import type { Located } from "./source.ts";
import type { TestBudget, TestFailure } from "./test-budget.ts";
import type { TestSubjects } from "./test-subjects.ts";

interface Verdict {
  readonly any: boolean;
  readonly check: boolean;
}

export class SshTestRunner {
  readonly #engine: CompiledEngine;
  readonly #subjects: TestSubjects;
  readonly #budget: TestBudget;
  readonly #sources = new Map<string, readonly Entry[]>();
  readonly #targets = new Map<string, readonly Entry[]>();

  constructor(engine: CompiledEngine, subjects: TestSubjects, budget: TestBudget) {
    this.#engine = engine;
    this.#subjects = subjects;
    this.#budget = budget;
  }

  test(test: SshTest): readonly TestFailure[] {
    const sources = this.#sourcesOf(test.src);
    if (sources.length === 0) {
      const message = `sshTest ${test.index}: src=${JSON.stringify(test.srcText)} resolves to no node`;
      return [{ at: test.at, message }];
    }
    return test.dst.flatMap((selector) => {
      const targets = this.#targetsOf(selector, test.src);
      if (targets.length === 0) {
        const message = `sshTest ${test.index}: dst alias ${JSON.stringify(selector.text)} resolved to no nodes`;
        return [{ at: selector.at, message }];
      }
      const expect = (
        logins: SshTest["accept"],
        wanted: string,
        holds: (verdict: Verdict) => boolean,
      ): readonly TestFailure[] =>
        logins.flatMap(({ text, at }) => {
          const wrong = this.#firstWrong(sources, targets, { text, at }, holds);
          const line = `${test.srcText}/${text} -> ${selector.text}`;
          return wrong === undefined ? [] : [{ at, message: `${line}: expected ${wanted}, got ${verdictText(wrong)}` }];
        });
      return [
        ...expect(test.accept, "ALLOWED", (verdict) => verdict.any),
        ...expect(test.deny, "DENIED", (verdict) => !verdict.any),
        ...expect(test.check, "ALLOWED via check", (verdict) => verdict.check),
      ];
    });
  }

  #firstWrong(
    sources: readonly Entry[],
    targets: readonly Entry[],
    { text, at }: Located,
    holds: (verdict: Verdict) => boolean,
  ): Verdict | undefined {
    const looks = targets.length * this.#engine.ssh.ordered().length;
    for (const from of sources) {
      if (!this.#budget.allows(looks, at)) {
        return undefined;
      }
      for (const to of targets) {
        const verdict = login(this.#engine, from, to, text);
        if (!holds(verdict)) {
          return verdict;
        }
      }
    }
    return undefined;
  }

  #sourcesOf(selector: Selector): readonly Entry[] {
    const key = selectorKey(selector);
    const known = this.#sources.get(key) ?? this.#engine.ssh.distinct(this.#subjects.nodes(selector));
    this.#sources.set(key, known);
    return known;
  }

  /** A bare IPv6 address never names a node here: Tailscale fails such a test. */
  #targetsOf(selector: Selector, src: Selector): readonly Entry[] {
    if (selector.kind === "addresses" && selector.from === "literal" && selector.text.includes(":")) {
      return [];
    }
    const key = selector.kind === "self" ? `own ${selectorKey(src)}` : selectorKey(selector);
    const known =
      this.#targets.get(key) ??
      this.#engine.ssh.distinct(selector.kind === "self" ? this.#ownOf(src) : this.#subjects.nodes(selector));
    this.#targets.set(key, known);
    return known;
  }

  #ownOf(src: Selector): readonly Entry[] {
    const users = new Set(this.#subjects.nodes(src).flatMap(({ identity }) => identity.user?.id ?? []));
    return [...users].flatMap((user) => [...this.#engine.entriesOfUser(user)]);
  }
}

function login(engine: CompiledEngine, from: Entry, to: Entry, name: string): Verdict {
  let any = false;
  for (const rule of engine.ssh.ordered()) {
    if (engine.ssh.admits(rule, from, to, name)) {
      if (rule.action === "check") {
        return { any: true, check: true };
      }
      any = true;
    }
  }
  return { any, check: false };
}

function verdictText(verdict: Verdict): string {
  return verdict.check ? "ALLOWED via check" : verdict.any ? "ALLOWED via accept" : "DENIED";
}
