// Runs a sequence against both servers and gives the differences that nobody declared.
import type { TestContext } from "node:test";
import { createActor } from "./actor.ts";
import { createCanonical } from "./canonical.ts";
import { findings } from "./compare.ts";
import { differences } from "./differences.ts";
import { startPair } from "./servers.ts";
import { nameOf, type Sequence } from "./steps.ts";

export interface Report {
  readonly steps: number;
  /** One text each: the step, the place, both values. */
  readonly undeclared: readonly string[];
  /** Declared differences that were seen. */
  readonly seen: ReadonlySet<number>;
}

export async function runBeside(context: TestContext, sequence: Sequence): Promise<Report> {
  const { theirs, ours } = await startPair(context, sequence);
  const sides = [theirs, ours].map((side) => ({ actor: createActor(side), canonical: createCanonical(side) }));
  context.after(() => sides.forEach(({ actor }) => actor.close()));
  const undeclared: string[] = [];
  const seen = new Set<number>();
  for (const [index, step] of sequence.steps.entries()) {
    const name = nameOf(step);
    const [theirOutcome, ourOutcome] = await Promise.all(
      sides.map(async ({ actor, canonical }) => canonical(await actor.act(step))),
    );
    for (const finding of findings(theirOutcome, ourOutcome)) {
      const declared = differences.flatMap((difference, number) =>
        difference.step.test(name) && difference.at.test(finding.path) ? [number] : [],
      );
      declared.forEach((number) => seen.add(number));
      if (declared.length === 0) {
        undeclared.push(
          `${index + 1}. ${name}\n   at ${finding.path}\n   headscale: ${JSON.stringify(finding.theirs)}\n   hawser:    ${JSON.stringify(finding.ours)}`,
        );
      }
    }
  }
  return { steps: sequence.steps.length, undeclared, seen };
}
