// Questions about a draft: would it be taken, what would it change, who could reach whom under it. Plain data in and
// out, so that they can be asked of another thread: the dear part is compiling, and the server has nodes to serve.
import { createAllowAll } from "./allow-all.ts";
import { compilePolicy, type PolicyInput, type PolicySettings } from "./compile.ts";
import { createDenyAll } from "./deny-all.ts";
import type { PolicyEngine } from "./engine.ts";
import { explain, type Explanation, type ExplainQuery } from "./explain.ts";
import { preview, type PreviewResult } from "./preview.ts";
import type { PolicyProblem } from "./problems.ts";

export type DraftQuestion =
  | { readonly kind: "check"; readonly text: string }
  | { readonly kind: "preview"; readonly text: string }
  | { readonly kind: "explain"; readonly text: string; readonly query: ExplainQuery };

/** What is in force beside the draft: a text, or no policy at all. */
export type InForce =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "open" }
  | { readonly kind: "closed" };

export interface Refused {
  readonly ok: false;
  readonly errors: readonly PolicyProblem[];
}

export type DraftAnswer =
  | {
      readonly kind: "check";
      readonly result: Refused | { readonly ok: true; readonly warnings: readonly PolicyProblem[] };
    }
  | { readonly kind: "preview"; readonly result: PreviewResult }
  | { readonly kind: "explain"; readonly result: Refused | { readonly ok: true; readonly explained: Explanation } };

/** Settings as far as they can be sent to another thread. */
export type PlainSettings = Omit<PolicySettings, "derpMapFaults">;

/** `inForce` is asked for only where it matters. */
export function answerDraft(question: DraftQuestion, input: PolicyInput, inForce: () => PolicyEngine): DraftAnswer {
  switch (question.kind) {
    case "check": {
      const compiled = compilePolicy(question.text, input);
      return { kind: "check", result: compiled.ok ? { ok: true, warnings: compiled.warnings } : compiled };
    }
    case "preview":
      return { kind: "preview", result: preview(inForce(), question.text, input) };
    case "explain": {
      // A draft's failing tests do not keep it from being asked.
      const compiled = compilePolicy(question.text, { ...input, tests: "warn" });
      return {
        kind: "explain",
        result: compiled.ok ? { ok: true, explained: explain(compiled.engine, question.query) } : compiled,
      };
    }
  }
}

/** What is in force, made again where there is only its text. */
export function engineInForce(inForce: InForce, input: PolicyInput): PolicyEngine {
  switch (inForce.kind) {
    case "open":
      return createAllowAll(input);
    case "closed":
      return createDenyAll();
    case "text": {
      const compiled = compilePolicy(inForce.text, { ...input, tests: "warn" });
      return compiled.ok ? compiled.engine : createDenyAll();
    }
  }
}
