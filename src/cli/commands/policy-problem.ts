// Says, beside an answer, that something else is in force than the policy that was written.
import { ListPolicyHistory } from "../../api/own-calls.ts";
import { CliError } from "../cli-error.ts";
import type { Invocation } from "../invocation.ts";

/** On stderr, where it disturbs no script. A server that cannot say it, or may not to this key, is left in peace. */
export async function notePolicyProblem(run: Invocation): Promise<void> {
  const client = await run.client();
  try {
    tellProblem(run, (await client.call(ListPolicyHistory, {}, "reading policy history")).problem);
  } catch (fault) {
    if (!(fault instanceof CliError)) {
      throw fault;
    }
  }
}

export function tellProblem(run: Invocation, problem: string): void {
  if (problem !== "") {
    run.note(`warning: ${problem}`);
  }
}
