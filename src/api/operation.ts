// An operation is a call with what it does. Handlers see decoded input and answer with a value or a refusal; transports
// (REST, gRPC, the Unix socket) authenticate, decode, check scopes and encode.
import type { Pending } from "../identity/pending.ts";
import type { DraftAnswer, DraftQuestion, PolicyInput } from "../policy/index.ts";
import type { Actor, Tailnet } from "../tailnet/contract.ts";
import type { AnyCall, Call } from "./call.ts";
import type { Answer } from "./rpc-error.ts";

/** Who calls, after authentication. */
export interface Caller {
  readonly actor: Actor;
  /** Scopes of the API key; empty is everything. */
  readonly scopes: readonly string[];
}

/** Where the policy text lives, and what judges a text. */
export interface PolicySource {
  readonly mode: "file" | "database";
  /** The file's text now, or undefined when there is none. Only for mode "file". */
  readonly readFile?: () => Promise<string | undefined>;
  /** Why something else is in force than what was written; undefined when all is well. */
  readonly problem?: () => string | undefined;
}

export interface OperationDeps {
  readonly tailnet: Tailnet;
  readonly pending: Pending;
  readonly clock: { now(): number };
  readonly policySource: PolicySource;
  /** Whether the store answers within its second. */
  readonly databaseHealthy: () => Promise<boolean>;
  /** All that decides about a policy besides its text, as things are now: for judging one without setting it. */
  readonly policyInput: () => PolicyInput;
  /** Answers questions about drafts elsewhere than on this thread; absent: here. */
  readonly askDraft?: (question: DraftQuestion) => Promise<DraftAnswer>;
}

export interface Operation {
  readonly call: AnyCall;
  run(deps: OperationDeps, caller: Caller, input: object): Promise<Answer<object>>;
}

export function operation<Input extends object, Output extends object>(
  call: Call<Input, Output>,
  handler: (deps: OperationDeps, input: Input, caller: Caller) => Promise<Answer<Output>> | Answer<Output>,
): Operation {
  return {
    call,
    // The transports decode `input` with `call.request`, which is what makes it an Input.
    run: async (deps, caller, input) => handler(deps, input as Input, caller),
  };
}
