// What a command is: a leaf with flags and something to run, or a group of commands. The tree (commands.ts) is plain
// data; what a leaf runs is imported when it is run, so that no command pays for another's code.
import type { Invocation } from "./invocation.ts";

/** What a value may be, for completion: words of a fixed list, a file, or things that the server knows. */
export type Completes =
  | "api key id"
  | "api key prefix"
  | "auth id"
  | "file"
  | "node"
  | "party"
  | "policy id"
  | "pre-auth key id"
  | "route"
  | "tag"
  | "user id"
  | "user name"
  | readonly string[];

export interface FlagSpec {
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** "uint" is 0 … 2^53−1; "list" splits at commas and may be repeated. */
  readonly type: "string" | "uint" | "int" | "bool" | "list";
  /** What help says of it. */
  readonly about: string;
  /** What help calls its value, in capitals; without it, by what completes it or by its type. */
  readonly value?: string;
  /** Shown in help; the command itself applies it. */
  readonly fallback?: string;
  readonly required?: boolean;
  /** Accepted but not shown: older spellings. */
  readonly hidden?: boolean;
  /** Older names, and letters: they work, and stderr names today's. */
  readonly formerly?: readonly string[];
  readonly completes?: Completes;
}

/** Is the flag meant by this name, or letter, today or once? */
export function answersTo(spec: FlagSpec, name: string, isShort: boolean): boolean {
  return (isShort ? spec.short : spec.name) === name || isFormer(spec, name, isShort);
}

export function isFormer({ formerly }: FlagSpec, name: string, isShort: boolean): boolean {
  return formerly?.includes(name) === true && (name.length === 1) === isShort;
}

interface Named {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly summary: string;
  readonly hidden?: boolean;
  /** Older names: they work, and stderr names today's. */
  readonly formerNames?: readonly string[];
}

export interface Leaf extends Named {
  readonly kind: "leaf";
  /** Positional arguments as help shows them. */
  readonly operands?: string;
  /** Of each operand. */
  readonly completes?: readonly Completes[];
  readonly flags?: readonly FlagSpec[];
  /** More than the summary, for its own help. */
  readonly about?: string;
  readonly examples?: readonly string[];
  readonly run: (invocation: Invocation) => Promise<void>;
}

export interface Group extends Named {
  readonly kind: "group";
  readonly children: readonly Command[];
}

export type Command = Leaf | Group;

export const globalFlags: readonly FlagSpec[] = [
  { name: "config", short: "c", type: "string", about: "config file", fallback: "searched for", completes: "file" },
  {
    name: "output",
    short: "o",
    type: "string",
    about: "for programs: json, json-line or yaml",
    completes: ["json", "json-line", "yaml"],
  },
  { name: "force", type: "bool", about: "ask nothing" },
  { name: "help", short: "h", type: "bool", about: "help for a command" },
];

export function findChild(group: Group, word: string): Command | undefined {
  return group.children.find(
    (child) =>
      child.name === word || child.aliases?.includes(word) === true || child.formerNames?.includes(word) === true,
  );
}
