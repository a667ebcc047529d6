// A policy text, read and checked: the one way from text to policy.
import { checkPolicy, type CheckSettings } from "./check.ts";
import { hujsonHint } from "./hujson-hints.ts";
import type { Policy } from "./policy.ts";
import { Positions, Problems, type PolicyProblem } from "./problems.ts";
import { readRaw } from "./read-raw.ts";
import { parseSource } from "./source-of-hujson.ts";

export type ReadResult =
  | {
      readonly ok: true;
      readonly policy: Policy;
      readonly positions: Positions;
      /** Nothing, or `null`: no policy at all. */
      readonly empty: boolean;
      readonly warnings: readonly PolicyProblem[];
    }
  | { readonly ok: false; readonly errors: readonly PolicyProblem[] };

export function readPolicy(text: string, settings: CheckSettings): ReadResult {
  const positions = new Positions(text);
  const source = parseSource(text);
  if (!source.ok) {
    const { message, offset } = source.error;
    const hint = hujsonHint(text, source.error);
    return { ok: false, errors: [{ message, ...positions.of(offset), ...(hint === undefined ? {} : { hint }) }] };
  }
  const problems = new Problems(positions);
  const raw = readRaw(source.value, problems);
  if (raw === undefined) {
    return { ok: false, errors: problems.errors() };
  }
  const policy = checkPolicy(raw, settings, problems);
  return problems.failed
    ? { ok: false, errors: problems.errors() }
    : { ok: true, policy, positions, empty: source.value.kind === "null", warnings: problems.warnings() };
}
