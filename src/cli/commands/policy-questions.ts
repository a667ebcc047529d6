// Asking the policy: who may reach whom and why (`policy explain`), and what a draft would change (`policy preview`).
import { readFile } from "node:fs/promises";
import { ExplainPolicy, PreviewPolicy } from "../../api/own-calls.ts";
import { ExplainPolicyResponse, PreviewPolicyResponse } from "../../api/own-messages.ts";
import type { PolicyAnswerValue } from "../../api/own-messages.ts";
import { CliError } from "../cli-error.ts";
import type { Invocation } from "../invocation.ts";
import { one } from "../output-shapes.ts";
import { paint, tableStyle, withoutControls } from "../table.ts";
import type { TableStyle } from "../table.ts";
import { unreadable } from "./policy.ts";
import { previewText } from "./policy-preview-text.ts";

async function draft(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (fault) {
    throw unreadable(path, fault);
  }
}

/** Ends with 0 when something is allowed, also when the answer is no: the question was answered. */
export async function explainPolicy(run: Invocation): Promise<void> {
  const { flags, operands } = run;
  const [src = flags.text("src"), dst = flags.text("dst")] = operands;
  if (src === "" || dst === "") {
    throw new CliError("say who and whom: policy explain SOURCE DESTINATION[:PORT]");
  }
  const policy = flags.given("file") ? await draft(flags.text("file")) : "";
  const client = await run.client();
  const input = { src, dst, protocol: flags.text("proto"), sshUser: flags.text("ssh"), policy };
  const response = await client.call(ExplainPolicy, input, "explaining policy");
  const style = tableStyle(run.io);
  const parts = response.answers.map((answer) => answerText(answer, style));
  if (response.more > 0) {
    parts.push(`… and ${response.more} more pairs; ask for one node to see them.`);
  }
  run.answer(one(ExplainPolicyResponse, response), parts.join("\n\n"));
}

function answerText(answer: PolicyAnswerValue, style: TableStyle): string {
  const port = answer.port === 0 ? "" : ` port ${answer.port}`;
  const verdict = answer.allowed ? paint("allowed", "green", style) : paint("denied", "red", style);
  const lines = [`${endText(answer.src)} → ${endText(answer.dst)}${port}: ${verdict}`];
  if (answer.router !== "") {
    lines.push(`  through ${answer.router}, route ${answer.route}`);
  }
  for (const rule of answer.by) {
    if (rule.section === "default") {
      lines.push("  no policy is in force: everything is allowed");
      continue;
    }
    const ports = rule.ports === "*" || rule.ports === "" ? "" : `, ${rule.ports}`;
    const posture = rule.posture === "" ? "" : `, posture ${rule.posture}`;
    lines.push(
      `  line ${rule.line} (${rule.section} ${rule.index}): ${rule.source} → ${rule.destination}${ports}${posture}`,
    );
    lines.push(...throughText("source", rule.source, rule.sourceThrough));
    lines.push(...throughText("destination", rule.destination, rule.destinationThrough));
  }
  lines.push(...answer.reasons.map((reason) => `  ${reason}`));
  lines.push(...answer.misses.map((miss) => `  line ${miss.line} (${miss.section} ${miss.index}): ${miss.text}`));
  if (answer.allowed && !answer.visible && answer.src?.node !== 0) {
    lines.push("  but the source is not told of the destination");
  }
  const { ssh } = answer;
  if (ssh !== null) {
    const how = ssh.action === "check" ? ", after a fresh login" : "";
    lines.push(
      `  SSH: ${ssh.allowed ? `allowed by line ${ssh.line}${how}` : "denied"}${ssh.network ? "" : " (and no packets get to port 22)"}`,
    );
    lines.push(...ssh.misses.map((miss) => `    ${miss}`));
  }
  return lines.join("\n");
}

function throughText(side: string, selector: string, through: string): string[] {
  return through === "" || through === selector ? [] : [`    ${side}: ${through}`];
}

function endText(end: PolicyAnswerValue["src"]): string {
  if (end === null) {
    return "?";
  }
  const owner = end.tags.length > 0 ? end.tags.join(", ") : end.user;
  const notes = [end.address === end.name ? "" : end.address, owner].filter((note) => note !== "");
  return withoutControls(notes.length === 0 ? end.name : `${end.name} (${notes.join("; ")})`);
}

export async function previewPolicy(run: Invocation): Promise<void> {
  const path = run.operands[0] ?? run.flags.text("file");
  if (path === "") {
    throw new CliError("the file is missing: policy preview FILE");
  }
  const policy = await draft(path);
  const client = await run.client();
  const response = await client.call(PreviewPolicy, { policy }, "previewing policy");
  for (const warning of response.warnings) {
    run.note(`warning: ${warning}`);
  }
  run.answer(one(PreviewPolicyResponse, response), previewText(response, tableStyle(run.io)));
}
