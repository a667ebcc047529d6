// Tables for people: columns separated by ` | `, as headscale's users know them, made to fit the terminal by wrapping
// long values inside their cell. Colour only on a terminal, and never with NO_COLOR.
import type { Io } from "./io.ts";

export type Colour = "green" | "red" | "yellow" | "cyan";

export interface Cell {
  /** Lines are separated by newlines. */
  readonly text: string;
  readonly colour?: Colour;
}

const codes: Readonly<Record<Colour, number>> = { red: 31, green: 32, yellow: 33, cyan: 96 };
const separator = " | ";
/** No column is wrapped to less than this. */
const narrowest = 8;

export interface TableStyle {
  readonly colour: boolean;
  /** Characters a line may take; undefined is as wide as it gets. */
  readonly columns: number | undefined;
}

export function tableStyle(io: Io): TableStyle {
  const plain = (io.env["NO_COLOR"] ?? "") !== "" || io.env["TERM"] === "dumb";
  return { colour: io.stdout.isTerminal && !plain, columns: io.stdout.columns };
}

/** Without a newline at the end. */
export function renderTable(
  header: readonly string[],
  rows: readonly (readonly (Cell | string)[])[],
  style: TableStyle,
): string {
  const cells = rows.map((row) =>
    row.map((cell) => (typeof cell === "string" ? { text: clean(cell) } : { ...cell, text: clean(cell.text) })),
  );
  const widths = fit(naturalWidths(header, cells), style.columns);
  const lines = rowLines(
    header.map((text) => ({ text, colour: "cyan" as const })),
    widths,
    style,
  );
  for (const row of cells) {
    lines.push(...rowLines(row, widths, style));
  }
  return lines.join("\n");
}

/** Names come from machines that anybody may run: nothing in them reaches the terminal as a command. */
function clean(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

function naturalWidths(header: readonly string[], rows: readonly (readonly Cell[])[]): number[] {
  const widths = header.map(displayWidth);
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      const width = cell.text.includes("\n")
        ? Math.max(...cell.text.split("\n").map(displayWidth))
        : displayWidth(cell.text);
      widths[column] = Math.max(widths[column] ?? 0, width);
    }
  }
  return widths;
}

/** Takes from the widest column until the line fits. */
function fit(widths: readonly number[], columns: number | undefined): readonly number[] {
  const fitted = [...widths];
  let over = columns === undefined ? 0 : total(fitted) - columns;
  while (over > 0) {
    const widest = Math.max(...fitted);
    if (widest <= narrowest) {
      break;
    }
    fitted[fitted.indexOf(widest)] = widest - 1;
    over -= 1;
  }
  return fitted;
}

function total(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, 0) + separator.length * (widths.length - 1);
}

function rowLines(row: readonly Cell[], widths: readonly number[], style: TableStyle): string[] {
  const wrapped = row.map((cell, column) => wrap(cell.text, widths[column] ?? 0));
  const height = Math.max(1, ...wrapped.map((lines) => lines.length));
  const out: string[] = [];
  for (let line = 0; line < height; line += 1) {
    const parts = row.map((cell, column) => {
      const text = wrapped[column]?.[line] ?? "";
      const pad = " ".repeat(Math.max(0, (widths[column] ?? 0) - displayWidth(text)));
      return paint(text, cell.colour, style) + pad;
    });
    out.push(parts.join(separator).trimEnd());
  }
  return out;
}

function paint(text: string, colour: Colour | undefined, style: TableStyle): string {
  return colour === undefined || !style.colour || text === "" ? text : `\u001b[${codes[colour]}m${text}\u001b[39m`;
}

/** Breaks after spaces, commas, hyphens or colons where there is one in the second half of the line, else anywhere. */
function wrap(text: string, width: number): string[] {
  return text.split("\n").flatMap((line) => {
    if (displayWidth(line) <= width || width === 0) {
      return [line];
    }
    const out: string[] = [];
    let rest = Array.from(line);
    while (rest.length > width) {
      let cut = width;
      for (let at = width; at > width / 2; at -= 1) {
        if (/[ ,:_-]/.test(rest[at - 1] ?? "")) {
          cut = at;
          break;
        }
      }
      out.push(rest.slice(0, cut).join("").trimEnd());
      rest = rest.slice(cut);
    }
    out.push(rest.join(""));
    return out;
  });
}

/** Characters on the screen; wide scripts count for two. */
function displayWidth(text: string): number {
  // oxlint-disable-next-line no-control-regex
  if (/^[\u0000-\u007f]*$/.test(text)) {
    return text.length;
  }
  let width = 0;
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    width +=
      (code >= 0x1100 && code <= 0x115f) ||
      (code >= 0x2e80 && code <= 0xa4cf) ||
      (code >= 0xac00 && code <= 0xd7a3) ||
      (code >= 0xf900 && code <= 0xfaff) ||
      (code >= 0xfe30 && code <= 0xfe6f) ||
      (code >= 0xff00 && code <= 0xff60) ||
      (code >= 0x1f300 && code <= 0x1faff)
        ? 2
        : 1;
  }
  return width;
}
