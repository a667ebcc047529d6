import { readFile, writeFile } from "node:fs/promises";
import { CheckPolicy, GetPolicy, SetPolicy } from "../../api/calls.ts";
import { ListPolicyHistory, PreviewPolicy, RollbackPolicy } from "../../api/own-calls.ts";
import { PolicyRevision } from "../../api/own-messages.ts";
import type { PreviewPolicyValue } from "../../api/own-messages.ts";
import type { OfflinePolicy } from "../../server/policy-offline.ts";
import { CliError } from "../cli-error.ts";
import { tableTime } from "../durations.ts";
import { operandOr } from "../invocation.ts";
import type { Invocation } from "../invocation.ts";
import { many, result } from "../output-shapes.ts";
import { renderTable, tableStyle } from "../table.ts";
import { changesNothing, losesAccess, previewText } from "./policy-preview-text.ts";
import { notePolicyProblem, tellProblem } from "./policy-problem.ts";

/** `policy get` writes the text alone, whatever --output says. */
export async function getPolicy(run: Invocation): Promise<void> {
  if (run.flags.on(bypass)) {
    run.io.stdout.write(`${await withoutServer(run, storedPolicy)}\n`);
    return;
  }
  run.io.stdout.write(`${await policyInForce(run)}\n`);
  await notePolicyProblem(run);
}

async function policyInForce(run: Invocation): Promise<string> {
  const client = await run.client();
  return (await client.call(GetPolicy, {}, "loading ACL policy")).policy;
}

async function storedPolicy(policy: OfflinePolicy): Promise<string> {
  const text = await policy.get();
  if (text === undefined) {
    throw new CliError("getting policy: loading ACL policy: acl policy not found");
  }
  return text;
}

/** In Go's words for the fault that happens. */
export function unreadable(path: string, fault: unknown): CliError {
  const isMissing = fault instanceof Error && "code" in fault && fault.code === "ENOENT";
  const reason = isMissing
    ? `open ${path}: no such file or directory`
    : fault instanceof Error
      ? fault.message
      : String(fault);
  return new CliError(`reading policy file: ${reason}`);
}

async function policyFile(run: Invocation, path = run.flags.text("file")): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (fault) {
    throw unreadable(path, fault);
  }
}

export async function setPolicy(run: Invocation): Promise<void> {
  const text = await policyFile(run);
  const isSet = run.flags.on(bypass)
    ? await withoutServer(run, (policy) => setAt(run, text, databasePlace(policy)))
    : await setAt(run, text, await serverPlace(run));
  if (!isSet) {
    run.answer(result("Policy not changed"), "Policy not changed");
    return;
  }
  run.io.stdout.write("Policy updated.\n");
}

/** Where a policy is set: at the server, or in the database of one that does not run. */
interface PolicyPlace {
  /** Undefined when there is none to give: setting the policy then says what is wrong, in its own words. */
  preview(policy: string): Promise<PreviewPolicyValue | undefined>;
  /** Throws CliError. */
  set(policy: string): Promise<void>;
}

async function serverPlace(run: Invocation): Promise<PolicyPlace> {
  const client = await run.client();
  return {
    preview: (policy) => previewOf(run, policy),
    async set(policy) {
      await client.call(SetPolicy, { policy }, "setting policy");
    },
  };
}

function databasePlace(offline: OfflinePolicy): PolicyPlace {
  return {
    preview: (policy) => Promise.resolve(offline.preview(policy)),
    async set(policy) {
      const set = await offline.set(policy);
      if (!set.ok) {
        throw new CliError(`setting policy: ${set.error.text}`);
      }
    },
  };
}

/** Changes told of each kind when a policy is set; `policy preview` tells all. */
const toldWhenSet = 10;

/**
 * What changes and what is doubtful goes to stderr: on a terminal before the policy is set, with a question when somebody
 * loses access; in scripts afterwards. False when the answer was no.
 */
async function setAt(run: Invocation, policy: string, place: PolicyPlace): Promise<boolean> {
  const preview = await place.preview(policy);
  const ask = run.io.isInteractive && !run.flags.on("force") && preview !== undefined && losesAccess(preview);
  if (ask) {
    tell(run, preview);
    if (!(await run.confirm("Somebody loses access. Do you want to put this policy in force?"))) {
      return false;
    }
  }
  await place.set(policy);
  if (!ask && preview !== undefined) {
    tell(run, preview);
  }
  return true;
}

async function previewOf(run: Invocation, policy: string): Promise<PreviewPolicyValue | undefined> {
  const client = await run.client();
  try {
    return await client.call(PreviewPolicy, { policy }, "previewing policy");
  } catch (fault) {
    if (fault instanceof CliError) {
      return undefined;
    }
    throw fault;
  }
}

function tell(run: Invocation, preview: PreviewPolicyValue): void {
  for (const warning of preview.warnings) {
    run.note(`warning: ${warning}`);
  }
  if (!changesNothing(preview)) {
    run.note(previewText(preview, tableStyle(run.io, run.io.stderr), toldWhenSet));
  }
}

export async function checkPolicy(run: Invocation): Promise<void> {
  await checkText(run, await policyFile(run), "checking policy");
  run.io.stdout.write("Policy is valid\n");
}

/** Warnings go to stderr. */
async function checkText(run: Invocation, text: string, doing: string): Promise<void> {
  const warnings = run.flags.on(bypass) ? await checkWithoutServer(run, text) : await checkOnServer(run, text, doing);
  for (const warning of warnings) {
    run.note(`warning: ${warning}`);
  }
}

async function checkOnServer(run: Invocation, policy: string, doing: string): Promise<readonly string[]> {
  const client = await run.client();
  return (await client.call(CheckPolicy, { policy }, doing)).warnings;
}

function checkWithoutServer(run: Invocation, text: string): Promise<readonly string[]> {
  return withoutServer(run, (policy) => {
    const checked = policy.check(text);
    if (!checked.ok) {
      throw new CliError(`checking policy: ${checked.error.text}`);
    }
    return Promise.resolve(checked.value);
  });
}

const bypass = "bypass-grpc-and-access-database-directly";

/** Works on the database itself. Throws CliError when a server has it, or when the question is not answered with yes. */
async function withoutServer<Value>(run: Invocation, work: (policy: OfflinePolicy) => Promise<Value>): Promise<Value> {
  const question = `DO NOT run this command if an instance of ${run.programName} is running, are you sure ${run.programName} is not running?`;
  if (!(await run.confirm(question))) {
    throw new CliError("command aborted by user");
  }
  const { faults, loadFull } = await import("./configuration.ts");
  const loaded = await loadFull(run);
  if (loaded.config === undefined) {
    throw new CliError(`loading configuration: ${faults(loaded)}`);
  }
  const { openPolicyOffline } = await import("../../server/policy-offline.ts");
  const opening = await openPolicyOffline(loaded.config);
  if (!opening.ok) {
    throw new CliError(`opening database: ${opening.reason}`);
  }
  try {
    return await work(opening.policy);
  } finally {
    await opening.policy.close();
  }
}

/** The tests of a file, or of the policy in force. */
export async function testPolicy(run: Invocation): Promise<void> {
  const text = run.flags.given("file") ? await policyFile(run) : await policyInForce(run);
  await checkText(run, text, "testing policy");
  run.io.stdout.write("Policy tests passed\n");
}

export async function policyHistory(run: Invocation): Promise<void> {
  const client = await run.client();
  const { revisions, inForce, problem } = await client.call(ListPolicyHistory, {}, "reading policy history");
  const [operand] = run.operands;
  if (operand !== undefined) {
    const wanted = revisions.find((revision) => String(revision.id) === operand);
    if (wanted === undefined) {
      throw new CliError(`reading policy history: there is no policy ${operand}; "policy history" lists them`);
    }
    run.io.stdout.write(`${wanted.policy}\n`);
    return;
  }
  const rows = revisions.map((revision) => [
    String(revision.id),
    tableTime(revision.setAt),
    revision.setBy,
    `${revision.policy.split("\n").length} lines`,
    revision.id === inForce ? "in force" : "",
  ]);
  const table = renderTable(["ID", "Set", "By", "Size", ""], rows, tableStyle(run.io));
  run.answer(many(PolicyRevision, revisions), table);
  tellProblem(run, problem);
}

export async function rollbackPolicy(run: Invocation): Promise<void> {
  const id = operandOr(run, 'the number of the policy is missing: policy rollback ID ("policy history" lists them)');
  if (!/^\d{1,15}$/.test(id)) {
    throw new CliError(`${JSON.stringify(id)} is not the number of a policy; "policy history" lists them`);
  }
  await tellOfRollback(run, id);
  if (!(await run.confirm(`Do you want to put policy ${id} in force again?`))) {
    run.answer(result("Policy not changed"), "Policy not changed");
    return;
  }
  const client = await run.client();
  await client.call(RollbackPolicy, { id: Number(id) }, "rolling back policy");
  run.answer(result("Policy updated."), "Policy updated.");
}

/** Nothing of a policy that does not exist, or cannot be had any more: putting it in force says what is wrong. */
async function tellOfRollback(run: Invocation, id: string): Promise<void> {
  const client = await run.client();
  const { revisions } = await client.call(ListPolicyHistory, {}, "reading policy history");
  const wanted = revisions.find((revision) => String(revision.id) === id);
  const preview = wanted === undefined ? undefined : await previewOf(run, wanted.policy);
  if (preview === undefined) {
    return;
  }
  tell(run, preview);
  if (changesNothing(preview)) {
    run.note("Nothing changes.");
  }
}

/** A file laid out evenly, to stdout or (--write) in place; without a file, the policy in force. No server is needed for a file. */
export async function formatPolicy(run: Invocation): Promise<void> {
  const path = run.operands[0] ?? run.flags.text("file");
  const text = path === "" ? await policyInForce(run) : await policyFile(run, path);
  const { formatHujson } = await import("../../policy/hujson-format.ts");
  const formatted = formatHujson(text);
  if (!formatted.ok) {
    const { describeHujsonError } = await import("../../policy/hujson-hints.ts");
    throw new CliError(`formatting policy: ${describeHujsonError(text, formatted.error)}`);
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
