/** A command cannot do what was asked; the text says why and, where possible, what to do. Ends the program with 1. */
export class CliError extends Error {
  override readonly name = "CliError";
}
