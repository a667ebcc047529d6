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
/** A word longer than this may be broken before columns are left out. */
const widestFloor = 24;

export interface TableStyle {
  readonly colour: boolean;
  /** Characters a line may take; undefined is as wide as it gets. */
  readonly columns: number | undefined;
}

export function tableStyle(io: Io): TableStyle {
  const plain = (io.env["NO_COLOR"] ?? "") !== "" || io.env["TERM"] === "dumb";
  return { colour: io.stdout.isTerminal && !plain, columns: io.stdout.columns };
}

/** A column; one with a `drop` is left out when a terminal is too narrow, the highest first. Pipes get all of them. */
export type Column = string | { readonly title: string; readonly drop: number };

/** Without a newline at the end. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly (Cell | string)[])[],
  style: TableStyle,
): string {
  const cells = rows.map((row) =>
    row.map((cell) => (typeof cell === "string" ? { text: clean(cell) } : { ...cell, text: clean(cell.text) })),
  );
  const header = columns.map((column) => (typeof column === "string" ? { title: column, drop: 0 } : column));
  const natural = naturalWidths(
    header.map(({ title }) => title),
    cells,
  );
  const words = wordWidths(
    header.map(({ title }) => title),
    cells,
  );
  const kept = keptColumns(header, words, style.columns);
  const only = <Item>(items: readonly Item[]): Item[] => items.filter((_item, column) => kept.has(column));
  const widths = fit(only(natural), only(words), style.columns);
  const titles = only(header).map(({ title }) => ({ text: title, colour: "cyan" as const }));
  const lines = rowLines(titles, widths, style);
  for (const row of cells) {
    lines.push(...rowLines(only(row), widths, style));
  }
  return lines.join("\n");
}

/** Names come from machines that anybody may run: nothing in them reaches the terminal as a command. */
function clean(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

function naturalWidths(header: readonly string[], rows: readonly (readonly Cell[])[]): number[] {
  return widthsBy((text) => text.split("\n"), header, rows);
}

/** The longest word of each column: what it takes to break only between words. */
function wordWidths(header: readonly string[], rows: readonly (readonly Cell[])[]): number[] {
  return widthsBy((text) => text.split(/[\n ]/), header, rows).map((width) => Math.min(width, widestFloor));
}

function widthsBy(
  split: (text: string) => readonly string[],
  header: readonly string[],
  rows: readonly (readonly Cell[])[],
): number[] {
  const widest = (text: string): number => split(text).reduce((most, part) => Math.max(most, displayWidth(part)), 0);
  const widths = header.map(widest);
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, widest(cell.text));
    }
  }
  return widths;
}

function keptColumns(
  header: readonly { readonly drop: number }[],
  floors: readonly number[],
  columns: number | undefined,
): ReadonlySet<number> {
  const kept = new Set(header.keys());
  const fits = (): boolean => columns === undefined || total([...kept].map((column) => floors[column] ?? 0)) <= columns;
  const droppable = [...header.entries()].filter(([, { drop }]) => drop > 0).sort(([, a], [, b]) => b.drop - a.drop);
  for (const [column] of droppable) {
    if (fits()) {
      break;
    }
    kept.delete(column);
  }
  return kept;
}

/** Takes from the widest column until the line fits; words are broken only when nothing else is left. */
function fit(natural: readonly number[], words: readonly number[], columns: number | undefined): readonly number[] {
  const fitted = [...natural];
  const shrink = (floors: readonly number[]): void => {
    let over = columns === undefined ? 0 : total(fitted) - columns;
    while (over > 0) {
      let widest = -1;
      for (const [column, width] of fitted.entries()) {
        if (width > (floors[column] ?? 0) && width > (fitted[widest] ?? 0)) {
          widest = column;
        }
      }
      if (widest === -1) {
        return;
      }
      fitted[widest] = (fitted[widest] ?? 0) - 1;
      over -= 1;
    }
  };
  shrink(words);
  shrink(words.map((width) => Math.min(width, narrowest)));
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

/** Breaks after the last space of a line, else after a comma, hyphen or colon in its second half, else anywhere. */
function wrap(text: string, width: number): string[] {
  return text.split("\n").flatMap((line) => {
    if (displayWidth(line) <= width || width === 0) {
      return [line];
    }
    const out: string[] = [];
    let rest = Array.from(line);
    while (rest.length > width) {
      const cut = cutPoint(rest, width);
      out.push(rest.slice(0, cut).join("").trimEnd());
      rest = rest.slice(rest[cut] === " " ? cut + 1 : cut);
    }
    out.push(rest.join(""));
    return out;
  });
}

function cutPoint(chars: readonly string[], width: number): number {
  if (chars[width] === " ") {
    return width;
  }
  const space = chars.lastIndexOf(" ", width - 1);
  if (space > 0) {
    return space;
  }
  for (let at = width; at > width / 2; at -= 1) {
    if (/[,:_-]/.test(chars[at - 1] ?? "")) {
      return at;
    }
  }
  return width;
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
