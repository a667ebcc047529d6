// What is wrong with a policy, said where it stands. Messages are Tailscale's where it has one, so that people and
// scripts that know those find them here.

import { utf8Length } from "./hujson.ts";

export interface PolicyProblem {
  readonly message: string;
  /** From 1; columns count bytes of UTF-8, as Go does. A problem of no one place has line 0. */
  readonly line: number;
  readonly column: number;
  /** What would have been right, where we can tell. */
  readonly hint?: string;
}

/** What would have been right; worked out only for problems that are kept. */
export type Hint = string | (() => string | undefined) | undefined;

export function hintText(hint: Hint): string | undefined {
  return typeof hint === "function" ? hint() : hint;
}

/** More would not be read, and a file that is wrong everywhere must not cost more than one that is right. */
const maxProblems = 100;

const blockLength = 1024;

/** No block begins inside a pair of surrogates. */
function blockStart(text: string, block: number): number {
  const at = block * blockLength;
  return (text.charCodeAt(at) & 0xfc00) === 0xdc00 && (text.charCodeAt(at - 1) & 0xfc00) === 0xd800 ? at + 1 : at;
}

/** For each block the bytes before it. */
function countBlocks(text: string): readonly number[] {
  const counts = [0];
  for (let block = 0; block * blockLength < text.length; block++) {
    const end = Math.min(blockStart(text, block + 1), text.length);
    counts.push((counts[block] ?? 0) + utf8Length(text, blockStart(text, block), end));
  }
  return counts;
}

/** Offsets to lines and columns, by binary search over the line starts. */
export class Positions {
  readonly #text: string;
  readonly #starts: number[] = [0];
  /** Bytes before every so many code units, for there may be thousands of questions about one line of megabytes. */
  #bytes: readonly number[] | undefined;

  constructor(text: string) {
    this.#text = text;
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) {
      this.#starts.push(at + 1);
    }
  }

  of(offset: number): { readonly line: number; readonly column: number } {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#starts[middle] ?? 0) <= offset) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return { line: low + 1, column: this.#bytesBefore(offset) - this.#bytesBefore(this.#starts[low] ?? 0) + 1 };
  }

  #bytesBefore(offset: number): number {
    this.#bytes ??= countBlocks(this.#text);
    const block = Math.floor(offset / blockLength);
    return (this.#bytes[block] ?? 0) + utf8Length(this.#text, blockStart(this.#text, block), offset);
  }
}

/** Collects what is wrong (errors) and what only looks wrong (warnings). */
export class Problems {
  readonly #positions: Positions;
  readonly #errors: PolicyProblem[] = [];
  readonly #warnings: PolicyProblem[] = [];

  constructor(positions: Positions) {
    this.#positions = positions;
  }

  error(at: number, message: string, hint?: Hint): void {
    this.#add(this.#errors, at, message, hint);
  }

  warn(at: number, message: string, hint?: Hint): void {
    this.#add(this.#warnings, at, message, hint);
  }

  /** Finding a place on a line of megabytes is dear, so it is not looked for once nobody would read of it. */
  #add(list: PolicyProblem[], at: number, message: string, given: Hint): void {
    if (list.length < maxProblems) {
      const hint = hintText(given);
      list.push({ message, ...this.#positions.of(at), ...(hint === undefined ? {} : { hint }) });
    }
  }

  get failed(): boolean {
    return this.#errors.length > 0;
  }

  /** In the order of the text. */
  errors(): readonly PolicyProblem[] {
    return this.#errors.toSorted(byPlace);
  }

  warnings(): readonly PolicyProblem[] {
    return this.#warnings.toSorted(byPlace);
  }
}

function byPlace(x: PolicyProblem, y: PolicyProblem): number {
  return x.line - y.line || x.column - y.column;
}

/** One problem as its message, several as headscale lists them: a head line, then one tab-indented line each. */
export function formatProblems(problems: readonly PolicyProblem[]): string {
  const [only] = problems;
  return problems.length === 1 && only !== undefined
    ? describeProblem(only)
    : `multiple errors:\n${problems.map((problem) => `\t${describeProblem(problem)}`).join("\n")}`;
}

/** `line 3, column 7: message (hint)`. Problems of a whole test run have no place: line 0. */
export function describeProblem(problem: PolicyProblem): string {
  // The reader of HuJSON says the place itself, in the words of Go's.
  const place =
    problem.line === 0 || problem.message.startsWith("hujson:")
      ? ""
      : `line ${problem.line}, column ${problem.column}: `;
  return `${place}${problem.message}${problem.hint === undefined ? "" : ` (${problem.hint})`}`;
}

/** Of `names`, the one that `name` was most likely meant to be, if any comes near. */
export function nearest(name: string, names: Iterable<string>): string | undefined {
  const wanted = name.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.min(name.length, Math.min(3, Math.max(2, Math.floor(name.length / 3))) + 1);
  let seen = 0;
  for (const candidate of names) {
    seen += 1;
    if (seen > 2000) {
      break;
    }
    const distance = editDistance(wanted, candidate.toLowerCase(), bestDistance);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein's distance, or `limit` as soon as it is certain to be no less. */
function editDistance(x: string, y: string, limit: number): number {
  if (Math.abs(x.length - y.length) >= limit || x.length > 64 || y.length > 64) {
    return limit;
  }
  let row = Array.from({ length: y.length + 1 }, (_, index) => index);
  for (let i = 1; i <= x.length; i++) {
    // Farther from the diagonal than the limit no way leads back below it.
    const from = Math.max(1, i - limit);
    const to = Math.min(y.length, i + limit);
    const next = Array.from({ length: y.length + 1 }, () => limit);
    next[0] = i;
    let least = from > 1 ? limit : i;
    for (let j = from; j <= to; j++) {
      const replaced = (row[j - 1] ?? limit) + (x[i - 1] === y[j - 1] ? 0 : 1);
      const value = Math.min(replaced, (row[j] ?? limit) + 1, (next[j - 1] ?? limit) + 1);
      next[j] = value;
      least = Math.min(least, value);
    }
    if (least >= limit) {
      return limit;
    }
    row = next;
  }
  return Math.min(row[y.length] ?? limit, limit);
}
