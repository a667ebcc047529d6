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

export function tableStyle(io: Io, stream = io.stdout): TableStyle {
  const plain = (io.env["NO_COLOR"] ?? "") !== "" || io.env["TERM"] === "dumb";
  return { colour: stream.isTerminal && !plain, columns: stream.columns };
}

/** A column; one with a `drop` is left out when a terminal is too narrow, the highest first. Pipes get all of them. */
export type Column = string | { readonly title: string; readonly drop: number };

/** A cell ready to be laid out. */
interface Laid {
  readonly lines: readonly string[];
  /** Of the widest line. */
  readonly width: number;
  readonly colour: Colour | undefined;
}

/** Without a newline at the end. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly (Cell | string)[])[],
  style: TableStyle,
): string {
  const header = columns.map((column) => (typeof column === "string" ? { title: column, drop: 0 } : column));
  const titles = header.map(({ title }) => lay({ text: title, colour: "cyan" }));
  const cells = [titles, ...rows.map((row) => row.map(lay))];
  const natural = widthsBy(cells, (cell) => cell.width);
  if (style.columns === undefined) {
    return cells.flatMap((row) => rowLines(row, natural, style)).join("\n");
  }
  const words = widthsBy(cells, wordWidth).map((width) => Math.min(width, widestFloor));
  const kept = keptColumns(header, words, style.columns);
  const only = <Item>(items: readonly Item[]): Item[] => items.filter((_item, column) => kept.has(column));
  const widths = fit(only(natural), only(words), style.columns);
  return cells.flatMap((row) => rowLines(only(row), widths, style)).join("\n");
}

/** Needs no cleaning, and is as wide as it is long. */
const simple = /^[\u0020-\u007e]*$/;

function lay(cell: Cell | string): Laid {
  const given = typeof cell === "string" ? cell : cell.text;
  if (simple.test(given)) {
    return { lines: [given], width: given.length, colour: typeof cell === "string" ? undefined : cell.colour };
  }
  const text = withoutControls(given);
  const lines = text.includes("\n") ? text.split("\n") : [text];
  const width = lines.reduce((most, line) => Math.max(most, displayWidth(line)), 0);
  return { lines, width, colour: typeof cell === "string" ? undefined : cell.colour };
}

// oxlint-disable-next-line no-control-regex
const controls = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** Names come from machines that anybody may run: nothing in them reaches the terminal as a command. */
export function withoutControls(text: string): string {
  return text.replace(controls, "\ufffd");
}

// oxlint-disable-next-line no-control-regex
const controlsAndColours = /\u001b\[[0-9]{1,2}m|[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** The same for a whole text to be shown: its lines, tabs and colours stay. */
export function forTerminal(text: string): string {
  return text.replace(controlsAndColours, (found) => (found.length > 1 ? found : "\ufffd"));
}

/** The longest word: what it takes to break only between words. */
function wordWidth({ lines }: Laid): number {
  return lines.flatMap((line) => line.split(" ")).reduce((most, word) => Math.max(most, displayWidth(word)), 0);
}

function widthsBy(rows: readonly (readonly Laid[])[], widthOf: (cell: Laid) => number): number[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, widthOf(cell));
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

function rowLines(row: readonly Laid[], widths: readonly number[], style: TableStyle): string[] {
  const wrapped = row.map((cell, column) => {
    const width = widths[column] ?? 0;
    return cell.width <= width ? cell.lines : cell.lines.flatMap((line) => wrap(line, width));
  });
  const height = wrapped.reduce((most, lines) => Math.max(most, lines.length), 1);
  const out: string[] = [];
  for (let line = 0; line < height; line += 1) {
    const parts = row.map((cell, column) => {
      const part = wrapped[column]?.[line] ?? "";
      // A cell of one line was measured when it was laid out.
      const width = cell.lines.length === 1 && height === 1 ? cell.width : displayWidth(part);
      return paint(part, cell.colour, style) + blanks((widths[column] ?? 0) - width);
    });
    out.push(parts.join(separator).trimEnd());
  }
  return out;
}

const someBlanks = Array.from({ length: 64 }, (_, count) => " ".repeat(count));

function blanks(count: number): string {
  return someBlanks[Math.max(0, count)] ?? " ".repeat(count);
}

/** The text in a colour, where there are colours. */
export function paint(text: string, colour: Colour | undefined, style: TableStyle): string {
  return colour === undefined || !style.colour || text === "" ? text : `\u001b[${codes[colour]}m${text}\u001b[39m`;
}

/** Breaks after the last space of a line, else after a comma, hyphen or colon in its second half, else anywhere. */
function wrap(line: string, width: number): string[] {
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

// oxlint-disable-next-line no-control-regex
const ascii = /^[\u0000-\u007f]*$/;
/** Scripts whose characters take two places. */
const wide = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]|[\u{1f300}-\u{1faff}]/u;

/** Places on the screen. */
function displayWidth(text: string): number {
  if (ascii.test(text)) {
    return text.length;
  }
  let width = 0;
  for (const char of text) {
    width += wide.test(char) ? 2 : 1;
  }
  return width;
}
