// Help texts, made from the tree of commands.
import { globalFlags } from "./command.ts";
import type { Command, FlagSpec, Group, Leaf } from "./command.ts";

/** Groups of the root's commands, in the order people need them. */
const sections: readonly (readonly [title: string, names: readonly string[]])[] = [
  ["Run a server", ["serve", "configtest", "doctor", "health"]],
  ["Devices and people", ["users", "preauthkeys", "nodes", "auth"]],
  ["Access", ["policy", "apikeys", "audit"]],
];

/** Ends in a newline. `path` is the command's name from the root. */
export function helpText(command: Command, path: readonly string[], programName: string): string {
  const blocks =
    path.length === 0 && command.kind === "group"
      ? rootHelp(command, programName)
      : command.kind === "group"
        ? groupHelp(command, path, programName)
        : leafHelp(command, path, programName);
  return `${blocks.join("\n\n")}\n`;
}

function rootHelp(root: Group, programName: string): string[] {
  const shown = root.children.filter((child) => child.hidden !== true);
  const named = new Set(sections.flatMap(([, names]) => names));
  const listed = sections.map(([title, names]) => {
    const commands = names.flatMap((name) => shown.find((child) => child.name === name) ?? []);
    return commandList(title, commands);
  });
  return [
    `${programName} — ${root.summary}`,
    `Usage:\n  ${programName} COMMAND [flags]`,
    ...listed,
    commandList(
      "More",
      shown.filter((child) => !named.has(child.name)),
    ),
    `A first device:\n  ${programName} users create alice\n  ${programName} preauthkeys create --user 1\n  tailscale up --login-server URL --auth-key KEY`,
    flagList("Flags everywhere", globalFlags),
    `"${programName} COMMAND --help" says more about a command.`,
  ];
}

function groupHelp(group: Group, path: readonly string[], programName: string): string[] {
  return [
    group.summary,
    `Usage:\n  ${programName} ${path.join(" ")} COMMAND [flags]`,
    ...aliasBlock(group),
    commandList(
      "Commands",
      group.children.filter((child) => child.hidden !== true),
    ),
    `"${programName} ${path.join(" ")} COMMAND --help" says more about a command.`,
  ];
}

function leafHelp(leaf: Leaf, path: readonly string[], programName: string): string[] {
  const flags = (leaf.flags ?? []).filter((flag) => flag.hidden !== true);
  const operands = leaf.operands === undefined ? "" : ` ${leaf.operands}`;
  const examples = (leaf.examples ?? []).map((example) => `  ${programName} ${example}`);
  return [
    leaf.about === undefined ? leaf.summary : `${leaf.summary}\n\n${leaf.about}`,
    `Usage:\n  ${programName} ${path.join(" ")}${operands}${flags.length > 0 ? " [flags]" : ""}`,
    ...aliasBlock(leaf),
    ...(examples.length === 0 ? [] : [`Examples:\n${examples.join("\n")}`]),
    ...(flags.length === 0 ? [] : [flagList("Flags", flags)]),
    flagList("Flags everywhere", globalFlags),
  ];
}

function aliasBlock(command: Command): string[] {
  return command.aliases === undefined ? [] : [`Aliases:\n  ${[command.name, ...command.aliases].join(", ")}`];
}

function commandList(title: string, commands: readonly Command[]): string {
  const width = Math.max(...commands.map((command) => command.name.length));
  const lines = commands.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`);
  return `${title}:\n${lines.join("\n")}`;
}

function flagList(title: string, flags: readonly FlagSpec[]): string {
  const left = flags.map((flag) => {
    const short = flag.short === undefined ? "    " : `-${flag.short}, `;
    return `  ${short}--${flag.name}${flag.type === "bool" ? "" : ` ${flag.type.toUpperCase()}`}`;
  });
  const width = Math.max(...left.map((text) => text.length));
  const lines = flags.map((flag, index) => {
    const notes = [
      flag.required === true ? "required" : "",
      flag.fallback === undefined ? "" : `default ${flag.fallback}`,
    ];
    const shown = notes.filter((note) => note !== "").join(", ");
    return `${(left[index] ?? "").padEnd(width)}  ${flag.about}${shown === "" ? "" : ` (${shown})`}`;
  });
  return `${title}:\n${lines.join("\n")}`;
}
