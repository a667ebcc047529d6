// YAML in the form that Go's yaml.v3 gives it: four spaces, the first key of a list item beside its dash, strings bare
// unless they would be read as something else.
import type { Json } from "../wire/tailcfg.ts";

type JsonMap = { readonly [key: string]: Json };
/** A list or map with something in it. */
type Branch = readonly Json[] | JsonMap;

/** Ends in a newline. */
export function writeGoYaml(value: Json): string {
  return isBranch(value) ? `${block(value, 0).join("\n")}\n` : `${scalar(value)}\n`;
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function isBranch(value: Json): value is Branch {
  return typeof value === "object" && value !== null && Object.keys(value).length > 0;
}

function scalar(value: Json): string {
  if (typeof value === "string") {
    return stringScalar(value);
  }
  if (typeof value === "object" && value !== null) {
    return isList(value) ? "[]" : "{}";
  }
  return String(value);
}

/** What stands inside a list item skips the dash; everything else goes to the next multiple of four. */
function deeper(indent: number, inListItem: boolean): number {
  return inListItem ? indent + 2 : 4 * Math.floor((indent + 4) / 4);
}

function block(value: Branch, indent: number): string[] {
  return isList(value)
    ? value.flatMap((item) => listItem(item, indent))
    : Object.entries(value).flatMap(([key, item]) => mapEntry(key, item, indent));
}

function listItem(item: Json, indent: number): string[] {
  const pad = " ".repeat(indent);
  const inner = deeper(indent, true);
  if (!isBranch(item)) {
    return [`${pad}- ${multiline(scalar(item), inner)}`];
  }
  const [first = "", ...rest] = block(item, inner);
  return [`${pad}- ${first.slice(inner)}`, ...rest];
}

function mapEntry(key: string, item: Json, indent: number): string[] {
  const start = `${" ".repeat(indent)}${keyText(key)}:`;
  const inner = deeper(indent, false);
  return isBranch(item) ? [start, ...block(item, inner)] : [`${start} ${multiline(scalar(item), inner)}`];
}

/** Indents the lines of a literal block. */
function multiline(text: string, indent: number): string {
  return text.replaceAll(/\n(?=[^\n])/g, `\n${" ".repeat(indent)}`);
}

const keyTexts = new Map<string, string>();

/** Keys repeat with every item, so how they are written is found out once. */
function keyText(key: string): string {
  let text = keyTexts.get(key);
  if (text === undefined) {
    text = stringScalar(key);
    keyTexts.set(key, text);
  }
  return text;
}

const readAsOther =
  /^(?:~|null|Null|NULL|true|True|TRUE|false|False|FALSE|y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF|[-+]?(?:\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN|<<|=)$/;
const readAsNumber =
  /^[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?|(?:[0-9][0-9_]*)?\.?[0-9_]*(?:[eE][-+]?[0-9]+)?)$/;
const readAsTime = /^\d{4}-\d{1,2}-\d{1,2}(?:[Tt ].*)?$/;

function stringScalar(text: string): string {
  if (text === "") {
    return '""';
  }
  if (text.includes("\n")) {
    return literal(text);
  }
  if (readAsOther.test(text) || (/[0-9]/.test(text) && readAsNumber.test(text)) || readAsTime.test(text)) {
    return JSON.stringify(text);
  }
  if (hasControls(text)) {
    return JSON.stringify(text);
  }
  const barred =
    /^[,[\]{}#&*!|>'"%@`]/.test(text) || /^[-?:](?: |$)/.test(text) || /: |:$| #/.test(text) || text.trim() !== text;
  return barred ? `'${text.replaceAll("'", "''")}'` : text;
}

function hasControls(text: string): boolean {
  // oxlint-disable-next-line no-control-regex
  return /[\u0000-\u001f\u007f-\u009f\ufeff]/.test(text);
}

function literal(text: string): string {
  const ends = text.endsWith("\n\n") ? "+" : text.endsWith("\n") ? "" : "-";
  return `|${ends}\n${text.replace(/\n$/, "")}`;
}
