// A question about a draft for a large tailnet is answered by another thread, with the same answer as here, while this
// one goes on.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { makeWorld } from "../../bench/policy-world.ts";
import { answerDraft, type DraftQuestion } from "../policy/drafts.ts";
import { compilePolicy, formatProblems } from "../policy/index.ts";
import { openPolicyDrafts } from "./policy-drafts.ts";

const world = makeWorld({ nodes: 10_000, users: 500, groups: 100, tags: 200, rules: 1000, self: true });
const input = { users: world.users, nodes: world.nodes, settings: { serverUrl: "https://control.example" } };
const compiled = compilePolicy(world.text, input);
assert.ok(compiled.ok, compiled.ok ? "" : formatProblems(compiled.errors));
const { engine } = compiled;
const tailnet = {
  policy: engine,
  policyProblem: undefined,
  policyVersion: { id: 1, text: world.text, setAt: 0, setBy: "test" },
  nodes: () => [],
} as const;
const drafts = openPolicyDrafts({ tailnet, input: () => input });
after(() => drafts.close());

const [first, second] = world.nodes;
assert.ok(first !== undefined && second !== undefined);
const text = world.text.replace(
  /"acls":\[(\{[^}]*\},){3}/,
  '"acls":[{"action":"accept","src":["group:g1"],"dst":["tag:t5:22"]},',
);
const questions: readonly DraftQuestion[] = [
  { kind: "check", text: world.text },
  { kind: "check", text: `${world.text.slice(0, -3)}, "nonsense": true}` },
  { kind: "preview", text },
  { kind: "explain", text, query: { src: first.name, dst: `${second.name}:22` } },
];

for (const question of questions) {
  test(`the thread answers to ${question.kind} as this one would (${question.text.length} characters)`, async () => {
    assert.deepEqual(await drafts.ask(question), structuredClone(answerDraft(question, input, () => engine)));
  });
}

test("while a preview is worked out, the loop goes on", async () => {
  await drafts.ask({ kind: "check", text });
  let ticks = 0;
  const ticking = setInterval(() => ticks++, 5);
  const [whole, own] = [process.cpuUsage(), process.threadCpuUsage()];
  await drafts.ask({ kind: "preview", text });
  const [all, here] = [process.cpuUsage(whole), process.threadCpuUsage(own)];
  clearInterval(ticking);
  // Worked out here it would be nearly all of the work. Milliseconds say less: the machine may be busy.
  const share = (here.user + here.system) / (all.user + all.system);
  assert.ok(share < 0.3, `this thread did ${(share * 100).toFixed(0)} % of the work`);
  assert.ok(ticks >= 5, `${ticks} turns of the loop`);
});

for (const [how, code] of [
  ["cannot start", "throw new Error('broken')"],
  ["ends while it is told", "process.exit(3)"],
] as const) {
  test(`a thread that ${how} fails the question and not the server; the next question starts another`, async () => {
    const broken = openPolicyDrafts({
      tailnet,
      input: () => input,
      thread: new URL(`data:text/javascript,${encodeURIComponent(code)}`),
    });
    for (let attempt = 0; attempt < 2; attempt++) {
      await assert.rejects(broken.ask({ kind: "check", text }), /broken|has ended/);
    }
    await broken.close();
  });
}
