// A run of the program from its words to its exit code.
import { CliError } from "./cli-error.ts";
import type { Client } from "./client.ts";
import { commandTree } from "./commands.ts";
import { helpText } from "./help.ts";
import { createInvocation, outputFormat, renderShape } from "./invocation.ts";
import type { Io } from "./io.ts";
import { plain } from "./output-shapes.ts";
import { parseArguments, requireFlags } from "./parse-arguments.ts";
import { forTerminal } from "./table.ts";

export interface ProgramOptions {
  readonly programName: "hawser" | "headscale";
  readonly io: Io;
  /** In place of the server that the configuration names: for tests. */
  readonly client?: Client;
}

/** The exit code: 0, or 1 for every error. */
export async function runProgram(
  words: readonly string[],
  { programName, io, client }: ProgramOptions,
): Promise<0 | 1> {
  try {
    if (words[0] === "__complete" || words[0] === "__completeNoDesc") {
      const { writeCompletions } = await import("./complete.ts");
      const described = words[0] === "__complete";
      await writeCompletions(commandTree, words.slice(1), { io, programName, client, described });
      return 0;
    }
    // `help users list` is another way to say `users list --help`.
    const asked = words[0] === "help" ? [...words.slice(1), "--help"] : words;
    const { command, path, flags, operands, outdated } = parseArguments(commandTree, programName, asked);
    for (const { word, today } of outdated) {
      io.stderr.write(`note: "${word}" is called "${today}" today\n`);
    }
    if (command.kind === "group" || flags.on("help")) {
      io.stdout.write(helpText(command, path, programName));
      return 0;
    }
    requireFlags(command, flags);
    const open = async (): Promise<Client> => {
      const { connect } = await import("./settings.ts");
      return client ?? connect(flags.text("config"), io, programName);
    };
    await command.run(createInvocation({ programName, operands, flags, io, connect: open }));
    return 0;
  } catch (fault) {
    if (!(fault instanceof CliError)) {
      throw fault;
    }
    io.stderr.write(errorText(fault.message, words));
    return 1;
  }
}

/** In the form that --output asks for, also when the words could not be parsed. */
function errorText(message: string, words: readonly string[]): string {
  const format = outputFormat(writtenOutput(words));
  return format === "human"
    ? `Error: ${forTerminal(message)}\n`
    : [...renderShape(plain({ error: message }), format)].join("");
}

function writtenOutput(words: readonly string[]): string {
  for (const [index, word] of words.entries()) {
    const glued = /^(?:--output=|-o=?)(.+)$/.exec(word);
    if (glued !== null) {
      return glued[1] ?? "";
    }
    if (word === "-o" || word === "--output") {
      return words[index + 1] ?? "";
    }
  }
  return "";
}
