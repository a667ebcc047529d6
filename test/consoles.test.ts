// The calls of web consoles, in their order: answered as headscale's own server answers them, and, where that is not
// there to compare with, with the statuses that consoles count on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createActor } from "./beside/actor.ts";
import { runBeside } from "./beside/beside.ts";
import { headplaneSession, headscaleUiSession } from "./beside/sequences/consoles.ts";
import { missing, startOurs } from "./beside/servers.ts";
import { nameOf, type Sequence } from "./beside/steps.ts";

/** Calls that a console makes although they cannot succeed: by a word of the step, the status it shows. */
const refusals: Readonly<Record<string, readonly (readonly [step: RegExp, status: number])[]>> = {
  [headplaneSession.name]: [
    [/Bearer wrong/, 401],
    [/^PUT .*\[\}/, 500],
    // None was set yet.
    [/^GET \/api\/v1\/policy$/, 500],
    [/my%20laptop/, 500],
    [/tag:undefined/, 400],
  ],
  [headscaleUiSession.name]: [
    [/key=nodekey:abc/, 500],
    [/^DELETE \/api\/v1\/user\/1$/, 500],
  ],
};

async function statuses(sequence: Sequence, act: ReturnType<typeof createActor>["act"]): Promise<readonly string[]> {
  const wrong: string[] = [];
  const names = new Set<string>();
  for (const step of sequence.steps) {
    const { status } = await act(step);
    const name = nameOf(step);
    const again = names.has(name);
    names.add(name);
    const expected = refusals[sequence.name]?.find(([words]) => words.test(name))?.[1] ?? 200;
    if (step.do === "ask" && status !== expected && !again) {
      wrong.push(`${name}: ${String(status)}, not ${expected}`);
    }
  }
  return wrong;
}

for (const sequence of [headplaneSession, headscaleUiSession]) {
  test(`${sequence.name} works through a session`, async (context) => {
    const actor = createActor(await startOurs(context));
    context.after(() => actor.close());
    assert.deepEqual(await statuses(sequence, (step) => actor.act(step)), []);
  });

  test(`${sequence.name} is told what headscale's own server tells it`, { skip: missing }, async (t) => {
    assert.deepEqual((await runBeside(t, sequence)).undeclared, []);
  });
}
