// From words to a command with its flags, in the way headscale's users are used to (headscale reference §2.1): global
// flags anywhere, a command's own flags even before its name.
import { answersTo, findChild, globalFlags, isFormer } from "./command.ts";
import type { Command, FlagSpec, Group } from "./command.ts";
import { CliError } from "./cli-error.ts";
import { createFlags } from "./flags.ts";
import type { Flags } from "./flags.ts";

export interface Parsed {
  readonly command: Command;
  /** Names from the root to the command, as today's spelling has them. */
  readonly path: readonly string[];
  readonly flags: Flags;
  readonly operands: readonly string[];
  /** Words used that have a newer spelling. */
  readonly outdated: readonly { readonly word: string; readonly today: string }[];
}

/** A flag as written, before it is known which command it belongs to. */
interface WrittenFlag {
  /** Long name, or the letter. */
  readonly name: string;
  readonly isShort: boolean;
  readonly text: string | undefined;
  /** The word it was written in, for messages. */
  readonly word: string;
}

/** Throws CliError for what no command can mean. */
export function parseArguments(root: Group, programName: string, words: readonly string[]): Parsed {
  let command: Command = root;
  const path: string[] = [];
  const written: WrittenFlag[] = [];
  const operands: string[] = [];
  const outdated: { word: string; today: string }[] = [];

  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? "";
    if (word === "--") {
      operands.push(...words.slice(index + 1));
      break;
    }
    if (word.startsWith("-") && word.length > 1) {
      const flags = readFlagWord(command, word, words[index + 1]);
      written.push(...flags.written);
      index += flags.tookNext ? 1 : 0;
      continue;
    }
    const child: Command | undefined =
      command.kind === "group" && operands.length === 0 ? findChild(command, word) : undefined;
    if (child === undefined) {
      operands.push(word);
      continue;
    }
    if (child.formerNames?.includes(word) === true) {
      outdated.push({ word: [...path, word].join(" "), today: [...path, child.name].join(" ") });
    }
    command = child;
    path.push(child.name);
  }

  const specs = [...globalFlags, ...(command.kind === "leaf" ? (command.flags ?? []) : [])];
  const unknownRootWord = command === root ? operands[0] : undefined;
  if (unknownRootWord !== undefined) {
    throw new CliError(unknownCommand(root, programName, unknownRootWord));
  }
  // A group only ever shows its help; flags of the commands in it do no harm.
  const below = command.kind === "group" ? flagsBelow(command) : [];
  const all = [...specs, ...below];
  for (const { name, isShort } of written) {
    const former = all.find((spec) => isFormer(spec, name, isShort));
    if (former !== undefined) {
      outdated.push({ word: isShort ? `-${name}` : `--${name}`, today: `--${former.name}` });
    }
  }
  return { command, path, operands, outdated, flags: resolveFlags(all, written) };
}

/** Throws CliError naming the flags that a command cannot do without. */
export function requireFlags(command: Command, flags: Flags): void {
  const specs = command.kind === "leaf" ? (command.flags ?? []) : [];
  const missing = specs.filter((spec) => spec.required === true && !flags.given(spec.name)).map((spec) => spec.name);
  if (missing.length > 0) {
    const names = missing.sort().map((name) => `"${name}"`);
    throw new CliError(`required flag(s) ${names.join(", ")} not set`);
  }
}

function unknownCommand(root: Group, programName: string, word: string): string {
  const near = root.children.filter((child) => child.hidden !== true && isNear(child.name, word));
  const hint = near.length === 0 ? "" : `\n\nDid you mean this?\n${near.map((child) => `\t${child.name}\n`).join("")}`;
  return `unknown command "${word}" for "${programName}"${hint}`;
}

function isNear(name: string, word: string): boolean {
  return name.startsWith(word) || word.startsWith(name) || editDistance(name, word) <= 2;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

interface FlagWord {
  readonly written: readonly WrittenFlag[];
  readonly tookNext: boolean;
}

function readFlagWord(command: Command, word: string, next: string | undefined): FlagWord {
  const equals = word.indexOf("=");
  if (word.startsWith("--")) {
    const name = equals === -1 ? word.slice(2) : word.slice(2, equals);
    if (equals !== -1) {
      return { written: [{ name, isShort: false, text: word.slice(equals + 1), word }], tookNext: false };
    }
    const tookNext = next !== undefined && takesValue(command, name, false);
    return { written: [{ name, isShort: false, text: tookNext ? next : undefined, word }], tookNext };
  }
  const written: WrittenFlag[] = [];
  for (let at = 1; at < word.length; at += 1) {
    const name = word[at] ?? "";
    const rest = word.slice(at + 1);
    if (!takesValue(command, name, true) && !rest.startsWith("=")) {
      written.push({ name, isShort: true, text: undefined, word });
      continue;
    }
    const text = rest === "" ? next : rest.replace(/^=/, "");
    written.push({ name, isShort: true, text, word });
    return { written, tookNext: rest === "" && next !== undefined };
  }
  return { written, tookNext: false };
}

/** Before the command is known, a flag takes a value if it does in any command below. */
export function takesValue(command: Command, name: string, isShort: boolean): boolean {
  const global = globalFlags.find((spec) => (isShort ? spec.short : spec.name) === name);
  if (global !== undefined) {
    return global.type !== "bool";
  }
  const specs = flagsBelow(command).filter((spec) => answersTo(spec, name, isShort));
  return specs.length === 0 ? command.kind === "group" : specs.some((spec) => spec.type !== "bool");
}

export function flagsBelow(command: Command): readonly FlagSpec[] {
  return command.kind === "leaf" ? (command.flags ?? []) : command.children.flatMap(flagsBelow);
}

function findSpec(specs: readonly FlagSpec[], { name, isShort }: WrittenFlag): FlagSpec | undefined {
  return specs.find((spec) => answersTo(spec, name, isShort));
}

function resolveFlags(specs: readonly FlagSpec[], written: readonly WrittenFlag[]): Flags {
  const texts = new Map<string, string[]>();
  for (const flag of written) {
    const spec = findSpec(specs, flag);
    if (spec === undefined) {
      const name = flag.isShort
        ? `unknown shorthand flag: '${flag.name}' in ${flag.word}`
        : `unknown flag: --${flag.name}`;
      throw new CliError(name);
    }
    if (flag.text === undefined && spec.type !== "bool") {
      throw new CliError(
        flag.isShort
          ? `flag needs an argument: '${flag.name}' in ${flag.word}`
          : `flag needs an argument: --${flag.name}`,
      );
    }
    const known = texts.get(spec.name) ?? [];
    known.push(checkedText(spec, flag.text ?? "true"));
    texts.set(spec.name, known);
  }
  return createFlags(texts);
}

function checkedText(spec: FlagSpec, text: string): string {
  const good =
    spec.type === "uint"
      ? /^\d+$/.test(text) && Number.isSafeInteger(Number(text))
      : spec.type === "int"
        ? /^-?\d+$/.test(text) && Number.isSafeInteger(Number(text))
        : spec.type !== "bool" || ["true", "false", "1", "0", "t", "f"].includes(text.toLowerCase());
  if (!good) {
    const shown = spec.short === undefined ? `--${spec.name}` : `-${spec.short}, --${spec.name}`;
    const expected = spec.type === "bool" ? "expected true or false" : "expected a number";
    throw new CliError(`invalid argument ${JSON.stringify(text)} for "${shown}" flag: ${expected}`);
  }
  return text;
}
