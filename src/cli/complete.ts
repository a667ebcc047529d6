// `hawser __complete WORDS…`: what may stand in place of the last word, for the scripts of completion.ts. It speaks as
// headscale's does (a candidate a line, a tab and its description; at the end a colon and a sum of directives), so that a
// script somebody has from there goes on working.
import type { Client } from "./client.ts";
import { answersTo, findChild, globalFlags } from "./command.ts";
import type { Command, Completes, FlagSpec, Group } from "./command.ts";
import type { Io } from "./io.ts";
import { flagsBelow, takesValue } from "./parse-arguments.ts";

export interface Candidate {
  readonly text: string;
  readonly about: string;
}

/** Directives of the protocol. */
const noSpace = 2;
const noFiles = 4;

export interface CompletionWorld {
  readonly io: Io;
  readonly programName: string;
  /** In place of the server that the configuration names. */
  readonly client: Client | undefined;
  /** Say what candidates are. */
  readonly described: boolean;
}

export async function writeCompletions(root: Group, words: readonly string[], world: CompletionWorld): Promise<void> {
  const { candidates, directive } = await completions(root, words, world);
  const lines = candidates.map(({ text, about }) => (about === "" || !world.described ? text : `${text}\t${about}`));
  world.io.stdout.write([...lines, `:${directive}\n`].join("\n"));
}

interface Completions {
  readonly candidates: readonly Candidate[];
  readonly directive: number;
}

/** What was typed before the word at the cursor. */
interface Typed {
  readonly command: Command;
  readonly given: ReadonlyMap<string, string>;
  readonly operands: number;
  /** A flag that waits for its value. */
  readonly open: FlagSpec | undefined;
  readonly onlyOperands: boolean;
}

async function completions(root: Group, words: readonly string[], world: CompletionWorld): Promise<Completions> {
  const last = words.at(-1) ?? "";
  // PowerShell cannot pass an empty word.
  const word = last === '""' ? "" : last;
  const typed = readTyped(root, words.slice(0, -1));
  const { command, open, onlyOperands } = typed;
  if (open !== undefined) {
    return valuesFor(open.completes, word, open.type === "list", typed, world);
  }
  const glued = onlyOperands ? null : /^--?([^=]+)=(.*)$/s.exec(word);
  if (glued !== null) {
    const spec = specOf(command, glued[1] ?? "", !word.startsWith("--"));
    return valuesFor(spec?.completes, glued[2] ?? "", spec?.type === "list", typed, world);
  }
  if (word.startsWith("-") && !onlyOperands) {
    return only(flagsFor(typed), word);
  }
  if (command.kind === "group") {
    const children = typed.operands === 0 ? command.children.filter(({ hidden }) => hidden !== true) : [];
    const candidates = children.map(({ name, summary }) => ({ text: name, about: summary }));
    return only(candidates, word);
  }
  const missing = flagsFor(typed).filter(({ required }) => required);
  const wanted = command.completes?.[typed.operands];
  return wanted === undefined && word === "" && missing.length > 0
    ? only(missing, word)
    : valuesFor(wanted, word, false, typed, world);
}

function only(candidates: readonly Candidate[], word: string): Completions {
  return { candidates: candidates.filter(({ text }) => text.startsWith(word)), directive: noFiles };
}

function readTyped(root: Group, words: readonly string[]): Typed {
  let command: Command = root;
  let operands = 0;
  let open: FlagSpec | undefined;
  let onlyOperands = false;
  const given = new Map<string, string>();
  for (const word of words) {
    if (open !== undefined) {
      given.set(open.name, word);
      open = undefined;
    } else if (word === "--" && !onlyOperands) {
      onlyOperands = true;
    } else if (word.startsWith("-") && word.length > 1 && !onlyOperands) {
      open = readFlag(command, word, given);
    } else {
      const child: Command | undefined =
        command.kind === "group" && operands === 0 && !onlyOperands ? findChild(command, word) : undefined;
      operands += child === undefined ? 1 : 0;
      command = child ?? command;
    }
  }
  return { command, given, operands, open, onlyOperands };
}

/** The flag when its value is the next word. */
function readFlag(command: Command, word: string, given: Map<string, string>): FlagSpec | undefined {
  const isShort = !word.startsWith("--");
  const equals = word.indexOf("=");
  // Of letters together only the last can wait for a value.
  const name =
    isShort && equals === -1 ? word.slice(-1) : word.slice(isShort ? 1 : 2, equals === -1 ? undefined : equals);
  const spec = specOf(command, name, isShort);
  if (spec !== undefined && equals !== -1) {
    given.set(spec.name, word.slice(equals + 1));
  } else if (takesValue(command, name, isShort)) {
    return spec ?? { name, type: "string", about: "" };
  } else if (spec !== undefined) {
    given.set(spec.name, "true");
  }
  return undefined;
}

function specOf(command: Command, name: string, isShort: boolean): FlagSpec | undefined {
  return [...globalFlags, ...flagsBelow(command)].find((spec) => answersTo(spec, name, isShort));
}

/** Flags that may still be given; those of groups only once the command is named. */
function flagsFor({ command, given }: Typed): readonly (Candidate & { readonly required: boolean })[] {
  const own = command.kind === "leaf" ? (command.flags ?? []) : [];
  return [...own, ...globalFlags]
    .filter(({ hidden, name, type }) => hidden !== true && (type === "list" || !given.has(name)))
    .map(({ name, about, required = false }) => ({ text: `--${name}`, about, required: required && !given.has(name) }));
}

async function valuesFor(
  wanted: Completes | undefined,
  word: string,
  isList: boolean,
  { given }: Typed,
  world: CompletionWorld,
): Promise<Completions> {
  if (wanted === undefined) {
    return { candidates: [], directive: noFiles };
  }
  if (wanted === "file") {
    return { candidates: [], directive: 0 };
  }
  // Of a list, the value after the last comma is at the cursor.
  const before = isList ? word.slice(0, word.lastIndexOf(",") + 1) : "";
  const part = word.slice(before.length);
  const known = typeof wanted === "string" ? await valuesOfServer(wanted, part, given, world) : wanted.map(fixed);
  const already = new Set(before.split(","));
  const candidates = known
    .filter(({ text }) => text.startsWith(part) && !already.has(text))
    .map(({ text, about }) => ({ text: before + text, about }));
  return { candidates, directive: isList ? noFiles + noSpace : noFiles };
}

function fixed(text: string): Candidate {
  return { text, about: "" };
}

/** Somebody waits at a prompt: a server that does not answer within this is as good as none. */
const patience = 1000;

async function valuesOfServer(
  wanted: Extract<Completes, string>,
  part: string,
  given: ReadonlyMap<string, string>,
  { io, programName, client }: CompletionWorld,
): Promise<readonly Candidate[]> {
  const { CliError } = await import("./cli-error.ts");
  const { serverValues } = await import("./complete-values.ts");
  const { connect } = await import("./settings.ts");
  const silent: Io = { ...io, stderr: { ...io.stderr, write: () => undefined } };
  try {
    const asked = client ?? (await connect(given.get("config") ?? "", silent, programName, patience));
    return await serverValues(asked, wanted, part, given.get("identifier") ?? "");
  } catch (fault) {
    if (fault instanceof CliError) {
      return [];
    }
    throw fault;
  }
}
