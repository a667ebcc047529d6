// What a preview says, for people.
import type { PolicyAccessChangeValue, PolicyNodeGroupValue, PreviewPolicyValue } from "../../api/own-messages.ts";
import { paint, withoutControls } from "../table.ts";
import type { TableStyle } from "../table.ts";

/** Does anybody lose a way that is open now? */
export function losesAccess({ pairsLosing, access, ssh }: PreviewPolicyValue): boolean {
  return pairsLosing > 0 || [...access, ...ssh].some(({ lost }) => lost.length > 0);
}

export function changesNothing({ access, ssh, attributes }: PreviewPolicyValue): boolean {
  return access.length + ssh.length + attributes.length === 0;
}

/** `limit`: changes told of each kind; the others are counted. */
export function previewText(preview: PreviewPolicyValue, style: TableStyle, limit = Infinity): string {
  if (changesNothing(preview)) {
    return "Nothing changes.";
  }
  const { access, ssh, attributes, pairsGaining, pairsLosing } = preview;
  const sections = [
    ...section(
      "Access",
      access.slice(0, limit).map((change) => changeText(change, style)),
    ),
    ...section(
      "SSH",
      ssh.slice(0, limit).map((change) => changeText(change, style)),
    ),
    ...section(
      "Node attributes",
      attributes
        .slice(0, limit)
        .map(({ nodes, gained, lost }) => [groupText(nodes), ...signed(gained, lost, style)].join("\n")),
    ),
  ];
  const more =
    preview.more + [access, ssh, attributes].reduce((sum, { length }) => sum + Math.max(0, length - limit), 0);
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
