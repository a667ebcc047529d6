// Asking the policy: who may reach whom and why (`policy explain`), and what a draft would change (`policy preview`).
import { readFile } from "node:fs/promises";
import { ExplainPolicy, PreviewPolicy } from "../../api/own-calls.ts";
import { ExplainPolicyResponse, PreviewPolicyResponse } from "../../api/own-messages.ts";
import type {
  PolicyAccessChangeValue,
  PolicyAnswerValue,
  PolicyNodeGroupValue,
  PreviewPolicyValue,
} from "../../api/own-messages.ts";
import { CliError } from "../cli-error.ts";
import type { Invocation } from "../invocation.ts";
import { one } from "../output-shapes.ts";
import { paint, tableStyle, withoutControls } from "../table.ts";
import type { TableStyle } from "../table.ts";

async function draft(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (fault) {
    throw new CliError(`reading policy file: ${fault instanceof Error ? fault.message : path}`);
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

function previewText(preview: PreviewPolicyValue, style: TableStyle): string {
  const sections = [
    ...section(
      "Access",
      preview.access.map((change) => changeText(change, style)),
    ),
    ...section(
      "SSH",
      preview.ssh.map((change) => changeText(change, style)),
    ),
    ...section(
      "Node attributes",
      preview.attributes.map(({ nodes, gained, lost }) =>
        [groupText(nodes), ...signed(gained, lost, style)].join("\n"),
      ),
    ),
  ];
  if (sections.length === 0) {
    return "Nothing changes.";
  }
  const { pairsGaining, pairsLosing, more } = preview;
  const counts = `Pairs of nodes that may do more: ${pairsGaining}; that may do less: ${pairsLosing}.`;
  const rest = more > 0 ? [`… and ${more} more changes.`] : [];
  return [...sections, ...rest, counts].join("\n\n");
}

function section(title: string, entries: readonly string[]): string[] {
  return entries.length === 0 ? [] : [[`${title}:`, ...entries.map((entry) => indent(entry))].join("\n")];
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, "  ");
}

function changeText({ src, dst, ownDevices, gained, lost }: PolicyAccessChangeValue, style: TableStyle): string {
  const note = ownDevices ? " (between devices of one person)" : "";
  return [`${groupText(src)} → ${groupText(dst)}${note}`, ...signed(gained, lost, style)].join("\n");
}

function signed(gained: readonly string[], lost: readonly string[], style: TableStyle): string[] {
  return [
    ...gained.map((text) => paint(`  + ${text}`, "green", style)),
    ...lost.map((text) => paint(`  - ${text}`, "red", style)),
  ];
}

function groupText(group: PolicyNodeGroupValue | null): string {
  if (group === null) {
    return "?";
  }
  const names = group.count === group.nodes.length && group.count <= 3 ? group.nodes.join(", ") : "";
  const kinds = [...group.tags, ...group.users].join(", ");
  const text = names === "" ? `${group.count} nodes${kinds === "" ? "" : ` of ${kinds}`}` : names;
  return withoutControls(group.behind ? `networks behind ${text}` : text);
}
