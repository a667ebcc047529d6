// One run of a command: what it was given, and how it answers. Output for people and for programs is decided here, so
// that commands only say both.
import type { Client } from "./client.ts";
import { CliError } from "./cli-error.ts";
import type { Flags } from "./flags.ts";
import type { Io } from "./io.ts";
import { renderJson, renderYaml } from "./output-shapes.ts";
import type { Shape } from "./output-shapes.ts";
import { forTerminal } from "./table.ts";

export type OutputFormat = "human" | "json" | "json-line" | "yaml";

export interface Invocation {
  readonly programName: "hawser" | "headscale";
  readonly operands: readonly string[];
  readonly flags: Flags;
  readonly format: OutputFormat;
  readonly io: Io;
  /** The connection to the server, by the configuration. Throws CliError when there is no way to it. */
  client(): Promise<Client>;
  /** Writes the result: `shape` for programs, `human` for people. A long text is made only when it is wanted. */
  answer(shape: Shape, human: string | (() => string)): void;
  /** A line on stderr that is not part of the result. */
  note(text: string): void;
  /** Asks on stderr; --force is a yes, the end of input a no. */
  confirm(question: string): Promise<boolean>;
}

export function outputFormat(text: string): OutputFormat {
  return text === "json" || text === "json-line" || text === "yaml" ? text : "human";
}

/** In pieces, so that a long list needs no room for its whole text. */
export function* renderShape(shape: Shape, format: Exclude<OutputFormat, "human">): Generator<string> {
  if (format === "yaml") {
    yield renderYaml(shape);
  } else {
    yield* renderJson(shape, format === "json" ? "\t" : undefined);
  }
  yield "\n";
}

export interface InvocationOptions {
  readonly programName: "hawser" | "headscale";
  readonly operands: readonly string[];
  readonly flags: Flags;
  readonly io: Io;
  readonly connect: () => Promise<Client>;
}

export function createInvocation({ programName, operands, flags, io, connect }: InvocationOptions): Invocation {
  const format = outputFormat(flags.text("output"));
  return {
    programName,
    operands,
    flags,
    format,
    io,
    client: connect,
    answer(shape, human) {
      if (format === "human") {
        io.stdout.write(`${forTerminal(typeof human === "string" ? human : human())}\n`);
        return;
      }
      for (const piece of renderShape(shape, format)) {
        io.stdout.write(piece);
      }
    },
    note(text) {
      io.stderr.write(`${forTerminal(text)}\n`);
    },
    async confirm(question) {
      if (flags.on("force")) {
        return true;
      }
      io.stderr.write(`${forTerminal(question)} [y/n] `);
      const line = await io.readLine();
      return ["y", "yes", "sure"].includes((line ?? "").trim().toLowerCase());
    },
  };
}

/** The one operand a command needs, or a CliError with headscale's words. */
export function operandOr(invocation: Invocation, text: string): string {
  const [operand] = invocation.operands;
  if (operand === undefined || operand === "") {
    throw new CliError(text);
  }
  return operand;
}
