import { readFile, writeFile } from "node:fs/promises";
import { CheckPolicy, GetPolicy, SetPolicy } from "../../api/calls.ts";
import { ListPolicyHistory, RollbackPolicy } from "../../api/own-calls.ts";
import { PolicyRevision } from "../../api/own-messages.ts";
import { CliError } from "../cli-error.ts";
import { tableTime } from "../durations.ts";
import { operandOr } from "../invocation.ts";
import type { Invocation } from "../invocation.ts";
import { many, result } from "../output-shapes.ts";
import { renderTable, tableStyle } from "../table.ts";

/** `policy get` writes the text alone, whatever --output says. */
export async function getPolicy(run: Invocation): Promise<void> {
  const client = await run.client();
  const { policy } = await client.call(GetPolicy, {}, "getting policy");
  run.io.stdout.write(`${policy}\n`);
}

async function policyFile(run: Invocation, path = run.flags.text("file")): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (fault) {
    throw new CliError(`reading policy file: ${fault instanceof Error ? fault.message : path}`);
  }
}

export async function setPolicy(run: Invocation): Promise<void> {
  const policy = await policyFile(run);
  const client = await run.client();
  await client.call(SetPolicy, { policy }, "setting policy");
  run.io.stdout.write("Policy updated.\n");
}

export async function checkPolicy(run: Invocation): Promise<void> {
  const policy = await policyFile(run);
  const client = await run.client();
  await client.call(CheckPolicy, { policy }, "checking policy");
  run.io.stdout.write("Policy is valid\n");
}

/** The tests of a file, or of the policy in force. */
export async function testPolicy(run: Invocation): Promise<void> {
  const client = await run.client();
  const policy = run.flags.given("file")
    ? await policyFile(run)
    : (await client.call(GetPolicy, {}, "getting policy")).policy;
  await client.call(CheckPolicy, { policy }, "testing policy");
  run.io.stdout.write("Policy tests passed\n");
}

export async function policyHistory(run: Invocation): Promise<void> {
  const client = await run.client();
  const { revisions } = await client.call(ListPolicyHistory, {}, "reading policy history");
  const [operand] = run.operands;
  if (operand !== undefined) {
    const wanted = revisions.find((revision) => String(revision.id) === operand);
    if (wanted === undefined) {
      throw new CliError(`reading policy history: there is no policy ${operand}; "policy history" lists them`);
    }
    run.io.stdout.write(`${wanted.policy}\n`);
    return;
  }
  const rows = revisions.map((revision, index) => [
    String(revision.id),
    tableTime(revision.setAt),
    revision.setBy,
    `${revision.policy.split("\n").length} lines`,
    index === 0 ? "in force" : "",
  ]);
  const table = renderTable(["ID", "Set", "By", "Size", ""], rows, tableStyle(run.io));
  run.answer(many(PolicyRevision, revisions), table);
}

export async function rollbackPolicy(run: Invocation): Promise<void> {
  const id = operandOr(run, 'the number of the policy is missing: policy rollback ID ("policy history" lists them)');
  if (!/^\d{1,15}$/.test(id)) {
    throw new CliError(`${JSON.stringify(id)} is not the number of a policy; "policy history" lists them`);
  }
  if (!(await run.confirm(`Do you want to put policy ${id} in force again?`))) {
    run.answer(result("Policy not changed"), "Policy not changed");
    return;
  }
  const client = await run.client();
  await client.call(RollbackPolicy, { id: Number(id) }, "rolling back policy");
  run.answer(result("Policy updated."), "Policy updated.");
}

/** A file laid out evenly, to stdout or (--write) in place; without a file, the policy in force. No server is needed for a file. */
export async function formatPolicy(run: Invocation): Promise<void> {
  const path = run.operands[0] ?? run.flags.text("file");
  const text = path === "" ? await policyInForce(run) : await policyFile(run, path);
  const { formatHujson } = await import("../../policy/hujson-format.ts");
  const formatted = formatHujson(text);
  if (!formatted.ok) {
    throw new CliError(`formatting policy: hujson: ${formatted.error.message}`);
  }
  if (!run.flags.on("write")) {
    run.io.stdout.write(formatted.text);
    return;
  }
  if (path === "") {
    throw new CliError("formatting policy: --write needs a file");
  }
  if (formatted.text !== text) {
    await writeFile(path, formatted.text);
  }
}

async function policyInForce(run: Invocation): Promise<string> {
  const client = await run.client();
  return (await client.call(GetPolicy, {}, "getting policy")).policy;
}
