// Help texts, made from the tree of commands.
import { globalFlags } from "./command.ts";
import type { Command, Completes, FlagSpec, Group, Leaf } from "./command.ts";

/** Groups of the root's commands, in the order people need them. */
const sections: readonly (readonly [title: string, names: readonly string[]])[] = [
  ["Run a server", ["serve", "configtest", "configdump", "doctor", "health"]],
  ["Devices and people", ["users", "preauthkeys", "nodes", "auth"]],
  ["Access", ["policy", "apikeys", "audit"]],
  ["Data", ["takeover", "db"]],
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
  const examples = (leaf.examples ?? []).map((example) => `  ${programName} ${example}`);
  return [
    leaf.about === undefined ? leaf.summary : `${leaf.summary}\n\n${wrapped(leaf.about, "")}`,
    `Usage:\n  ${usage(leaf, flags, [programName, ...path])}`,
    ...aliasBlock(leaf),
    ...(examples.length === 0 ? [] : [`Examples:\n${examples.join("\n")}`]),
    ...(flags.length === 0 ? [] : [flagList("Flags", flags)]),
    flagList("Flags everywhere", globalFlags),
  ];
}

/** With all that the command cannot do without. */
function usage(leaf: Leaf, flags: readonly FlagSpec[], words: readonly string[]): string {
  const required = flags.filter((flag) => flag.required === true);
  return [
    ...words,
    ...required.map((flag) => `--${flag.name}${valueName(flag)}`),
    ...(leaf.operands === undefined ? [] : [leaf.operands]),
    ...(flags.length > required.length ? ["[flags]"] : []),
  ].join(" ");
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
    return `  ${short}--${flag.name}${valueName(flag)}`;
  });
  // One flag with a very long name does not push the others' words to the edge.
  const width = Math.max(...left.map((text) => text.length).filter((length) => length <= widestFlag), 0);
  const lines = flags.map((flag, index) => {
    const notes = [
      flag.required === true ? "required" : "",
      flag.fallback === undefined ? "" : `default ${flag.fallback}`,
    ];
    const shown = notes.filter((note) => note !== "").join(", ");
    const about = wrapped(`${flag.about}${shown === "" ? "" : ` (${shown})`}`, " ".repeat(width + 2));
    const name = left[index] ?? "";
    return name.length > widestFlag ? `${name}\n${about}` : name.padEnd(width + 2) + about.slice(width + 2);
  });
  return `${title}:\n${lines.join("\n")}`;
}

const columns = 80;
const widestFlag = 36;

const nameOfCompleted: Readonly<Record<Extract<Completes, string>, string>> = {
  "api key id": "ID",
  "api key prefix": "PREFIX",
  "auth id": "ID",
  file: "FILE",
  node: "NODE",
  party: "WHO",
  "policy id": "ID",
  "pre-auth key id": "ID",
  route: "PREFIXES",
  tag: "TAGS",
  "user id": "ID",
  "user name": "USER",
};

const nameOfType = { string: "TEXT", int: "NUMBER", uint: "NUMBER", list: "LIST" } as const;

/** With a blank before it; "" for flags that are said or not. */
function valueName({ type, value, completes }: FlagSpec): string {
  if (type === "bool") {
    return "";
  }
  return ` ${value ?? (typeof completes === "string" ? nameOfCompleted[completes] : nameOfType[type])}`;
}

/** Broken between words where a line would be too long for a terminal; lines that begin with blanks stay as they are. */
function wrapped(text: string, indent: string): string {
  return text
    .split("\n")
    .flatMap((line) => (line.startsWith(" ") ? [line] : brokenLines(line, columns - indent.length)))
    .map((line) => indent + line)
    .join("\n");
}

function brokenLines(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else {
      lines.push(word);
    }
  }
  return lines;
}
