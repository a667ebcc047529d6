// White space and comments between the values of a formatted HuJSON text.
import { utf8Length } from "./hujson.ts";

/** A comment, and how many line breaks stand between it and what comes before it. */
export interface Comment {
  readonly gap: number;
  /** Without the line break that ends a line comment. */
  readonly text: string;
}

interface Trivia {
  readonly comments: readonly Comment[];
  /** Line breaks after the last comment. */
  readonly tail: number;
}

export function tabs(count: number): string {
  return "\t".repeat(count);
}

function read(trivia: string): Trivia {
  const comments: Comment[] = [];
  let gap = 0;
  for (let at = 0; at < trivia.length; at++) {
    const c = trivia[at];
    if (c === "\n") {
      gap++;
    } else if (c === "/") {
      const line = trivia[at + 1] === "/";
      const end = line ? trivia.indexOf("\n", at) : trivia.indexOf("*/", at + 2) + 2;
      const stop = end === -1 ? trivia.length : end;
      comments.push({ gap, text: trivia.slice(at, stop) });
      gap = 0;
      at = stop - 1;
    }
  }
  return { comments, tail: gap };
}

export function commentsOf(trivia: string): readonly Comment[] {
  return trivia.includes("/") ? read(trivia).comments : [];
}

/** What Go calls white space, at the end of a line. */
const trailingSpace = /[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/;

function trimEnd(line: string): string {
  return line.replace(trailingSpace, "");
}

/** A comment without carriage returns, its further lines brought to this indentation. */
function commentText(comment: string, indent: string): string {
  const [head = "", ...rest] = comment.replaceAll("\n\r", "\n").replaceAll("\r", " ").split("\n");
  if (rest.length === 0) {
    return head.startsWith("//") ? trimEnd(head) : head;
  }
  const lines = rest.map(trimEnd);
  const plain = outdented(lines);
  // A column of stars stands under the first one.
  const body = plain.every((line) => line.startsWith("*")) ? plain.map((line) => ` ${line}`) : plain;
  return [trimEnd(head), ...body.map((line) => (line === "" ? "" : indent + line))].join("\n");
}

/** Without the white space that all lines begin with. A closing mark on a line of its own goes to the front. */
function outdented(lines: readonly string[]): string[] {
  const closing = /^[ \t]*\*\/$/.test(lines.at(-1) ?? "");
  const counted = (closing ? lines.slice(0, -1) : lines).filter((line) => line !== "");
  let common: string | undefined;
  for (const line of counted) {
    const white = /^[ \t]*/.exec(line)?.[0] ?? "";
    if (common === undefined) {
      common = white;
    }
    let same = 0;
    while (same < common.length && common[same] === white[same]) {
      same++;
    }
    common = common.slice(0, same);
  }
  const length = common?.length ?? 0;
  return lines.map((line, index) => (closing && index === lines.length - 1 ? "*/" : line.slice(length)));
}

/** A line break, or a blank line where the text has one. */
function lineBreak(gap: number, indent: string): string {
  return (gap > 1 ? "\n\n" : "\n") + indent;
}

/** Trivia around a whole document. */
export function outerTrivia(trivia: string, place: "before" | "after"): string {
  const { comments, tail } = read(trivia);
  let text = "";
  comments.forEach((comment, index) => {
    const lead = index === 0 && place === "before" ? "" : comment.gap === 0 ? " " : lineBreak(comment.gap, "");
    text += lead + commentText(comment.text, "");
  });
  if (place === "before" && comments.length > 0) {
    text += tail === 0 ? " " : lineBreak(tail, "");
  }
  return text;
}

export interface ItemPlace {
  /** Nothing stands between the opening bracket and this. */
  readonly first: boolean;
  readonly expanded: boolean;
  /** Tabs before an item. */
  readonly indent: number;
  /** Before a closing bracket: tabs before that. */
  readonly closing?: number;
}

/** Trivia before an item, or before the closing bracket. */
export function itemTrivia(trivia: string, { first, expanded, indent, closing }: ItemPlace): string {
  const { comments, tail } = read(trivia);
  if (!expanded) {
    const texts = comments.map(({ text }) => ` ${commentText(text, tabs(indent))}`).join("");
    return texts === "" ? (first ? "" : " ") : `${texts} `;
  }
  const end = closing === undefined ? undefined : `\n${tabs(closing)}`;
  // Where the text has no line break at all, the one that is put in comes first.
  const whole =
    end !== undefined || trivia.includes("\n") ? comments : comments.map((c, i) => (i === 0 ? { ...c, gap: 1 } : c));
  let text = "";
  whole.forEach((comment, index) => {
    const gap = first && index === 0 ? Math.min(comment.gap, 1) : comment.gap;
    text += (gap === 0 ? " " : lineBreak(gap, tabs(indent))) + commentText(comment.text, tabs(indent));
  });
  if (end !== undefined) {
    return text + end;
  }
  if (comments.length === 0) {
    return lineBreak(first ? 1 : tail, tabs(indent));
  }
  return text + (tail === 0 ? " " : lineBreak(tail, tabs(indent)));
}

/** Trivia inside an item: before the colon, the value or the comma. Blank lines stay only between comments. */
export function continued(trivia: string, indent: number, next: "colon" | "value" | "comma"): string {
  const { comments, tail } = trivia === "" ? { comments: [], tail: 0 } : read(trivia);
  const step = (gap: number): string => (gap === 0 ? " " : `\n${tabs(indent)}`);
  if (comments.length === 0) {
    return next === "value" ? step(tail) : "";
  }
  const texts = comments.map(
    ({ gap, text }, index) =>
      (index > 0 && gap > 1 ? lineBreak(gap, tabs(indent)) : step(gap)) + commentText(text, tabs(indent)),
  );
  return texts.join("") + step(tail);
}

/** A string with as few escapes as can be. */
export function stringText(raw: string, value: unknown): string {
  return raw.includes("\\") ? JSON.stringify(value) : raw;
}

/** The length, in bytes, of the first and the last line of something; the same where there is but one. */
export interface Extent {
  readonly first: number;
  readonly last: number;
  readonly lines: boolean;
}

/**
 * How long trivia is, for the question whether a line is too long: before an item or a value (whose one space is
 * counted with the comma or colon), or before a mark (colon, comma, bracket). Comments count as written. Indentation does not count, nor does what
 * follows the last line break when that is inside a comment.
 */
export function triviaExtent(trivia: string, next: "item" | "mark"): Extent {
  const { comments, tail } = trivia === "" ? { comments: [], tail: 0 } : read(trivia);
  if (comments.length === 0) {
    return { first: 0, last: 0, lines: next === "item" && tail > 0 };
  }
  const first = firstLine(comments, tail);
  return first === undefined
    ? { first: lengthOf(comments), last: lengthOf(comments), lines: false }
    : { first, last: lastLine(comments, tail), lines: true };
}

/** Comments with a space before each and one after the last. */
function lengthOf(comments: readonly Comment[]): number {
  return comments.reduce((sum, { text }) => sum + 1 + utf8Length(text), 1);
}

/** Up to the first line break; undefined without one. A block comment has its space before a line break too. */
function firstLine(comments: readonly Comment[], tail: number): number | undefined {
  let length = 0;
  let block = 0;
  for (const { gap, text } of comments) {
    if (gap > 0) {
      return length + block;
    }
    const at = text.indexOf("\n");
    if (at !== -1) {
      return length + 1 + utf8Length(text, 0, at);
    }
    length += 1 + utf8Length(text);
    block = text.startsWith("/*") ? 1 : 0;
  }
  return tail > 0 ? length + block : undefined;
}

function lastLine(comments: readonly Comment[], tail: number): number {
  const rest = comments.slice(
    Math.max(
      0,
      comments.findLastIndex(({ gap }) => gap > 0),
    ),
  );
  return tail > 0 || rest.some(({ text }) => text.includes("\n")) ? 0 : lengthOf(rest);
}
