// Questions about a draft policy, answered where the server says, or here.
import { answerDraft, type DraftAnswer, type DraftQuestion } from "../policy/index.ts";
import type { OperationDeps } from "./operation.ts";

/** The answer to a question of one kind is of that kind. */
export async function askDraft<Kind extends DraftQuestion["kind"]>(
  deps: OperationDeps,
  question: Extract<DraftQuestion, { readonly kind: Kind }>,
): Promise<Extract<DraftAnswer, { readonly kind: Kind }>> {
  const answer =
    deps.askDraft === undefined
      ? answerDraft(question, deps.policyInput(), () => deps.tailnet.policy)
      : await deps.askDraft(question);
  if (!isOfKind(answer, question.kind)) {
    throw new Error(`asked to ${question.kind} a draft, the answer is to ${answer.kind}`);
  }
  return answer;
}

function isOfKind<Kind extends DraftAnswer["kind"]>(
  answer: DraftAnswer,
  kind: Kind,
): answer is Extract<DraftAnswer, { readonly kind: Kind }> {
  return answer.kind === kind;
}
