// The policy room's compilers as the tailnet wants them.
import type { Config } from "../config/config.ts";
import { createAllowAll } from "../policy/allow-all.ts";
import type { PolicyEngine } from "../policy/engine.ts";
import type { Result, TailnetReader } from "../tailnet/contract.ts";
import type { CompiledPolicy, PolicyWorld, TailnetOptions } from "../tailnet/options.ts";

export interface PolicyTools {
  readonly tailnetOptions: Pick<TailnetOptions, "compilePolicy" | "defaultPolicy" | "closedPolicy">;
  /** Judges a text without setting it. */
  check(text: string, tailnet: TailnetReader): Result<void>;
  /** The tailnet has been loaded: from now on no policy means that everything is allowed. */
  loaded(): void;
}

export function policyTools(config: Config): PolicyTools {
  // With a policy file configured, a start without any policy means that none was ever good: closed, not open.
  let closed = config.policy.mode === "file" && config.policy.path !== "";
  const compilePolicy = (_text: string, _world: PolicyWorld): CompiledPolicy => ({
    ok: false,
    error: "policies cannot be compiled yet",
  });
  const closedPolicy = (world: PolicyWorld): PolicyEngine => closedEngine(world);
  return {
    tailnetOptions: {
      compilePolicy,
      defaultPolicy: (world) => (closed ? closedPolicy(world) : createAllowAll(world)),
      closedPolicy,
    },
    check(text) {
      const outcome = compilePolicy(text, { users: [], nodes: [] });
      return outcome.ok
        ? { ok: true, value: undefined }
        : { ok: false, error: { code: "invalid", text: outcome.error } };
    },
    loaded() {
      closed = false;
    },
  };
}

function closedEngine(world: PolicyWorld): PolicyEngine {
  const open = createAllowAll(world);
  const nobody = { ...open.viewOf(0 as never), peers: () => [], sees: () => false };
  return { ...open, viewOf: () => nobody, filterOf: () => [], sshOf: () => [] };
}
