// The policy room's front door.
export { createAllowAll } from "./allow-all.ts";
export { compilePolicy, type CompileResult, type PolicyInput, type PolicySettings } from "./compile.ts";
export { CompiledEngine } from "./compiled-engine.ts";
export { createDenyAll } from "./deny-all.ts";
export type * from "./engine.ts";
export { answerDraft, type DraftAnswer, type DraftQuestion } from "./drafts.ts";
export { explain, type Explanation, type ExplainQuery, type PairExplanation } from "./explain.ts";
export {
  preview,
  type AccessChange,
  type AttributeChange,
  type NodeGroup,
  type Preview,
  type PreviewResult,
} from "./preview.ts";
export { describeProblem, formatProblems, type PolicyProblem } from "./problems.ts";
