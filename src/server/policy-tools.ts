// The policy room's compiler as the tailnet and the API want it.
import type { Config } from "../config/config.ts";
import type { Logger } from "../ops/logger.ts";
import type { PolicyEngine } from "../policy/engine.ts";
import { compilePolicy, createAllowAll, createDenyAll, describeProblem, formatProblems } from "../policy/index.ts";
import type { PolicyInput, PolicySettings } from "../policy/index.ts";
import { parsePolicyDerpMap } from "../relay/derp-map-schema.ts";
import { policyNodeOf, policyUserOf } from "../tailnet/derive.ts";
import type { Result, TailnetReader } from "../tailnet/contract.ts";
import type { CompiledPolicy, PolicyWorld, TailnetOptions } from "../tailnet/options.ts";

export interface PolicyTools {
  readonly tailnetOptions: Pick<TailnetOptions, "compilePolicy" | "defaultPolicy" | "closedPolicy">;
  /** Judges a text as setting it would, tests included; the value are warnings. */
  check(text: string, tailnet: TailnetReader): Result<readonly string[]>;
  /** All that decides about a policy besides its text, as things are now. */
  input(tailnet: TailnetReader): PolicyInput;
  /** The tailnet has been loaded: from now on no policy means that everything is allowed. */
  loaded(): void;
}

export function policyTools(config: Config, log: Logger): PolicyTools {
  const settings: PolicySettings = {
    serverUrl: config.serverUrl,
    randomizeClientPort: config.node.randomizeClientPort,
    derpMapFaults: (said) => parsePolicyDerpMap(said).problems.map(({ key, problem }) => `${key} ${problem}`),
  };
  // With a policy file configured, a start without any stored policy means that none was ever good: closed, not open.
  let starting = true;
  const isAwaited = config.policy.mode === "file" && config.policy.path !== "";

  function compile(text: string, { users, nodes }: PolicyWorld): CompiledPolicy {
    // A policy that was good once is not refused at a start because its tests fail on the users of today.
    const outcome = compilePolicy(text, { users, nodes, settings, tests: starting ? "warn" : "refuse" });
    if (!outcome.ok) {
      return { ok: false, error: formatProblems(outcome.errors) };
    }
    for (const warning of outcome.warnings) {
      log.warn({}, describeProblem(warning));
    }
    return { ok: true, engine: outcome.engine };
  }

  const inputOf = (tailnet: TailnetReader): PolicyInput => ({
    users: tailnet.users().map(policyUserOf),
    nodes: tailnet.nodes().map(policyNodeOf),
    settings,
  });
  const closedPolicy = (_world: PolicyWorld): PolicyEngine => createDenyAll();
  return {
    tailnetOptions: {
      compilePolicy: compile,
      defaultPolicy: (world) => (starting && isAwaited ? closedPolicy(world) : createAllowAll(world)),
      closedPolicy,
    },
    check(text, tailnet) {
      const outcome = compilePolicy(text, inputOf(tailnet));
      return outcome.ok
        ? { ok: true, value: outcome.warnings.map(describeProblem) }
        : { ok: false, error: { code: "invalid", text: formatProblems(outcome.errors) } };
    },
    input: inputOf,
    loaded() {
      starting = false;
    },
  };
}
