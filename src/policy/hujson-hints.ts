// What to write instead, for the commonest faults of a HuJSON text. The faults themselves are worded as Go's hujson does.
import type { HujsonError } from "./hujson.ts";

const inQuotes = "names and texts stand in double quotes";

/** Undefined where the fault says it all. */
export function hujsonHint(
  text: string,
  { message, offset }: Pick<HujsonError, "message" | "offset">,
): string | undefined {
  const fault = message.replace(/^hujson: line \d+, column \d+: /, "");
  if (fault.startsWith("parsing comment:")) {
    return text.startsWith("//", offset)
      ? "a // comment in the last line needs a line break behind it"
      : "the comment is not closed by */";
  }
  if (fault.startsWith("parsing string:")) {
    return "a closing quote is missing";
  }
  if (fault.endsWith("unexpected EOF")) {
    return "the text ends too early: a value or a closing bracket is missing";
  }
  if (fault.startsWith("invalid literal:")) {
    return literalHint(text, offset);
  }
  return misplacedHint(fault, text[offset] ?? "");
}

/** A character stands where it may not. */
function misplacedHint(fault: string, char: string): string | undefined {
  const closes = char === "}" || char === "]";
  if (fault.endsWith("at start of object name")) {
    return inQuotes;
  }
  if (fault.endsWith("after object name")) {
    return "a colon is missing before it";
  }
  if (/after (?:object|array) value/.test(fault)) {
    return closes ? "the brackets do not match" : "a comma is missing before it";
  }
  if (fault.endsWith("after top-level value")) {
    return closes ? "there is one closing bracket too many" : "the text goes on behind its last bracket";
  }
  return fault.endsWith("at start of value") ? startHint(char) : undefined;
}

/** The fault with its place, and what would have been right. */
export function describeHujsonError(text: string, error: Pick<HujsonError, "message" | "offset">): string {
  const hint = hujsonHint(text, error);
  return hint === undefined ? error.message : `${error.message} (${hint})`;
}

function literalHint(text: string, offset: number): string | undefined {
  if (text[offset] === '"') {
    return "within quotes a backslash is written \\\\, a line break \\n and a tab \\t";
  }
  return /[0-9+.-]/.test(text[offset] ?? "") ? undefined : inQuotes;
}

function startHint(char: string): string | undefined {
  switch (char) {
    case "\ufeff":
      return "the file begins with a byte order mark: save it as plain UTF-8";
    case "'":
      return inQuotes;
    case ",":
    case ":":
    case "}":
    case "]":
      return "a value is missing before it";
    case "#":
      return "comments begin with //";
    default:
      return undefined;
  }
}
