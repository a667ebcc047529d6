// From a text, users and nodes to an engine in force, or to what is wrong with the text.
import type { Prefix } from "../ip/index.ts";
import type { Json } from "../wire/tailcfg.ts";
import { createAllowAll } from "./allow-all.ts";
import { CompiledEngine } from "./compiled-engine.ts";
import type { PolicyEngine, PolicyNode, PolicyUser } from "./engine.ts";
import { didYouMean } from "./name-hints.ts";
import { formatProblems, Problems, type Positions, type PolicyProblem } from "./problems.ts";
import type { Policy } from "./policy.ts";
import { layOut } from "./program.ts";
import { readPolicy } from "./read-policy.ts";
import { runTests } from "./run-tests.ts";

/** What decides about a policy besides its text. */
export interface PolicySettings {
  /** The server's own URL; check actions of SSH begin with it. */
  readonly serverUrl: string;
  /** Domains that `user:*@domain` and `localpart:*@domain` may name; undefined: any. */
  readonly associatedDomains?: readonly string[];
  /** randomizeClientPort where the policy does not say. */
  readonly randomizeClientPort?: boolean;
  /** Groups that an identity provider may fill, besides those that users are in now. */
  readonly providerGroups?: readonly string[];
  /** `svc:name` → its addresses. */
  readonly services?: ReadonlyMap<string, readonly Prefix[]>;
  /** What is wrong with a `derpMap`, which the policy room does not look into; for warnings. */
  readonly derpMapFaults?: (said: Json) => readonly string[];
}

export interface PolicyInput {
  readonly users: readonly PolicyUser[];
  readonly nodes: readonly PolicyNode[];
  readonly settings: PolicySettings;
  /**
   * What follows from the users and nodes of the moment (failing tests, names that mean two users, groups that no
   * identity provider fills any more) refuses the policy when it is set or checked. When the server starts with a policy
   * that was good once, it only warns. Default: refuse.
   */
  readonly tests?: "refuse" | "warn";
}

export type CompileResult =
  | { readonly ok: true; readonly engine: PolicyEngine; readonly warnings: readonly PolicyProblem[] }
  | { readonly ok: false; readonly errors: readonly PolicyProblem[] };

/** Reads, checks, compiles and tests a policy. An empty text (or `null`) is no policy: everybody sees everybody. */
export function compilePolicy(text: string, input: PolicyInput): CompileResult {
  const { users, nodes, settings } = input;
  const read = readPolicy(text, {
    domains:
      settings.associatedDomains === undefined
        ? undefined
        : new Set(settings.associatedDomains.map((domain) => domain.toLowerCase())),
    providerGroups: new Set([...(settings.providerGroups ?? []), ...users.flatMap((user) => user.groups)]),
    services: settings.services ?? new Map(),
    anyGroup: input.tests === "warn",
  });
  if (!read.ok) {
    return read;
  }
  if (read.empty) {
    return { ok: true, engine: createAllowAll({ users, nodes }), warnings: read.warnings };
  }
  const engine = new CompiledEngine(
    layOut(read.policy),
    read.positions,
    { users, nodes },
    {
      checkBase: settings.serverUrl.replace(/\/+$/, ""),
      randomizeClientPort: settings.randomizeClientPort ?? false,
    },
  );
  const names = checkNames(engine, read.policy, read.positions);
  const derpFaults = engine.derpMap === undefined ? [] : (settings.derpMapFaults?.(engine.derpMap) ?? []);
  const warnings = [
    ...read.warnings,
    ...names.warnings(),
    ...derpFaults.map((fault) => ({ message: `derpMap: ${fault}`, line: 0, column: 0 })),
  ];
  if (names.failed) {
    if (input.tests !== "warn") {
      return { ok: false, errors: names.errors() };
    }
    warnings.push(...names.errors());
  }
  const failures = runTests(engine);
  if (failures.length === 0) {
    return { ok: true, engine, warnings };
  }
  const failed = { message: `test(s) failed:\n${formatProblems(failures)}`, line: 0, column: 0 };
  return input.tests === "warn"
    ? { ok: true, engine, warnings: [...warnings, failed] }
    : { ok: false, errors: [failed] };
}

/** A name that means two people is refused; one that means nobody is only worth a warning: the person may come yet. */
function checkNames(engine: CompiledEngine, policy: Policy, positions: Positions): Problems {
  const problems = new Problems(positions);
  const seen = new Set<string>();
  const known = (): readonly string[] =>
    [...engine.directory.users()].flatMap(({ name, email }) => [email, `${name}@`]);
  for (const { token, at } of policy.userTokens) {
    const candidates = engine.directory.candidates(token);
    if (candidates.length > 1) {
      const found = candidates.map((id) => engine.directory.user(id)?.name ?? "").join(", ");
      problems.error(at, `multiple users found: token ${JSON.stringify(token)} found: ${found}`);
    } else if (candidates.length === 0 && !seen.has(token)) {
      problems.warn(at, `user not found: token ${JSON.stringify(token)}`, () => didYouMean(token, known()));
    }
    seen.add(token);
  }
  return problems;
}
