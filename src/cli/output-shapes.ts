// What `--output json|json-line|yaml` prints. These are the shapes of Go's encoders over generated protobuf structs, which
// scripts have learnt to read, and not the dialect of REST (headscale reference §2.3): snake_case with empty fields left
// out, numbers as numbers, times as {seconds, nanos}; in YAML lower-cased Go names with every field.
import { fieldOf } from "../api/message.ts";
import type { FieldKind, MessageType, NamedField } from "../api/message.ts";
import type { Json } from "../wire/tailcfg.ts";
import { writeGoYaml } from "./go-yaml.ts";

/** A result as programs get it. */
export type Shape =
  | { readonly kind: "message"; readonly type: MessageType<object>; readonly value: object }
  /** An empty list is `null` in JSON, as of a nil slice in Go. */
  | { readonly kind: "list"; readonly type: MessageType<object>; readonly values: readonly object[] }
  /** Written as it is; `yaml` where its keys differ there. */
  | { readonly kind: "plain"; readonly value: Json; readonly yaml?: Json };

export function one<Value extends object>(type: MessageType<Value>, value: Value): Shape {
  return { kind: "message", type, value };
}
export function many<Value extends object>(type: MessageType<Value>, values: readonly Value[]): Shape {
  return { kind: "list", type, values };
}
export function plain(value: Json, yaml?: Json): Shape {
  return yaml === undefined ? { kind: "plain", value } : { kind: "plain", value, yaml };
}
/** `{"Result": "…"}`, for commands that have nothing else to say. */
export function result(text: string): Shape {
  return plain({ Result: text });
}

type JsonObject = { [key: string]: Json };

/** In pieces, without a newline at the end. `indent` undefined is one line. */
export function* renderJson(shape: Shape, indent: string | undefined): Generator<string> {
  const lines = linesAt("", indent);
  switch (shape.kind) {
    case "message": {
      const out: string[] = [];
      addMessage(out, shape.type, shape.value, lines);
      yield out.join("");
      return;
    }
    case "list":
      yield* listPieces(shape.type, shape.values, lines);
      return;
    case "plain":
      yield anyJson(shape.value, lines);
      return;
  }
}

/** Ends in a newline. */
export function renderYaml(shape: Shape): string {
  return writeGoYaml(yamlOf(shape));
}

/** How the lines of an object or list begin and end, and those of what is inside. */
interface Lines {
  /** Before the first item, and behind the comma before each other one. */
  readonly inner: string;
  /** Before the closing bracket. */
  readonly end: string;
  readonly colon: string;
  readonly indent: string | undefined;
  /** Of what is inside; made when it is asked for. */
  deeper: Lines | undefined;
}

function linesAt(margin: string, indent: string | undefined): Lines {
  return indent === undefined
    ? { inner: "", end: "", colon: ":", indent, deeper: undefined }
    : { inner: `\n${margin}${indent}`, end: `\n${margin}`, colon: ": ", indent, deeper: undefined };
}

function deeper(lines: Lines): Lines {
  lines.deeper ??= linesAt(lines.inner.slice(1), lines.indent);
  return lines.deeper;
}

/** What a piece of a long list has at least: much text, and little for the engine to keep at a time. */
const rowsInPiece = 64;

function* listPieces(type: MessageType<object>, values: readonly object[], lines: Lines): Generator<string> {
  let out: string[] = [];
  let rows = 0;
  for (const value of values) {
    out.push(rows === 0 ? "[" : ",", lines.inner);
    addMessage(out, type, value, deeper(lines));
    rows += 1;
    if (rows % rowsInPiece === 0) {
      yield out.join("");
      out = [];
    }
  }
  out.push(...(rows === 0 ? ["null"] : [lines.end, "]"]));
  yield out.join("");
}

function addMessage(out: string[], type: MessageType<object>, value: object, lines: Lines): void {
  const inside = deeper(lines);
  let isEmpty = true;
  for (const { local, snake, repeated, kind } of type.fields) {
    const own = fieldOf(value, local);
    const items = repeated && Array.isArray(own) ? own : undefined;
    if (items === undefined ? repeated || isZero(kind, own) : items.length === 0) {
      continue;
    }
    out.push(isEmpty ? "{" : ",", lines.inner, '"', snake, '"', lines.colon);
    isEmpty = false;
    if (items === undefined) {
      addItem(out, kind, own, inside);
    } else {
      addItems(out, kind, items, inside);
    }
  }
  if (isEmpty) {
    out.push("{}");
  } else {
    out.push(lines.end, "}");
  }
}

function addItems(out: string[], kind: FieldKind, items: readonly unknown[], lines: Lines): void {
  let isFirst = true;
  for (const item of items) {
    out.push(isFirst ? "[" : ",", lines.inner);
    isFirst = false;
    addItem(out, kind, item, deeper(lines));
  }
  out.push(lines.end, "]");
}

function isZero(kind: FieldKind, value: unknown): boolean {
  if (kind.is === "enum") {
    return kind.type.names.indexOf(String(value)) <= 0;
  }
  // A time at the start of 1970 is set, and empty inside.
  return (
    value === null || value === undefined || value === "" || value === false || (value === 0 && kind.is !== "time")
  );
}

function addItem(out: string[], kind: FieldKind, value: unknown, lines: Lines): void {
  switch (kind.is) {
    case "time":
      addTime(out, Number(value), lines);
      return;
    case "enum":
      out.push(String(Math.max(0, kind.type.names.indexOf(String(value)))));
      return;
    case "message":
      if (typeof value === "object" && value !== null) {
        addMessage(out, kind.type, value, lines);
      } else {
        out.push("null");
      }
      return;
    case "string":
      if (typeof value === "string" && asItIs.test(value)) {
        out.push('"', value, '"');
      } else {
        out.push(anyJson(value, lines));
      }
      return;
    case "bool":
    case "u64":
    case "number":
    case "json":
      out.push(anyJson(value, lines));
      return;
  }
}

function addTime(out: string[], ms: number, { inner, end, colon }: Lines): void {
  const { seconds, nanos } = secondsAndNanos(ms);
  if (seconds !== 0) {
    out.push("{", inner, '"seconds"', colon, String(seconds));
  }
  if (nanos !== 0) {
    out.push(seconds === 0 ? "{" : ",", inner, '"nanos"', colon, String(nanos));
  }
  out.push(...(seconds === 0 && nanos === 0 ? ["{}"] : [end, "}"]));
}

function anyJson(value: unknown, { end, indent }: Lines): string {
  if (typeof value === "number" || typeof value === "boolean") {
    return JSON.stringify(value);
  }
  const text = escapeAsGo(JSON.stringify(value, undefined, indent) ?? "null");
  // Within texts a newline is an escape, so that each one here begins a line.
  return end === "" || end === "\n" ? text : text.replaceAll("\n", end);
}

/** Printable ASCII without what JSON or Go writes as escapes. */
const asItIs = /^[ !#-%'-;=?-[\]-~]*$/;

function secondsAndNanos(ms: number): { readonly seconds: number; readonly nanos: number } {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1_000_000) };
}

function yamlOf(shape: Shape): Json {
  switch (shape.kind) {
    case "message":
      return yamlMessage(shape.type, shape.value);
    case "list":
      return shape.values.map((value) => yamlMessage(shape.type, value));
    case "plain":
      return shape.yaml ?? shape.value;
  }
}

/** Fields that headscale does not have are left out while they are empty, so that its form stays exactly that. */
const firstOwnNumber = 100;

function yamlMessage(type: MessageType<object>, value: object): Json {
  const out: JsonObject = {};
  for (const field of type.fields) {
    const own = fieldOf(value, field.local);
    const empty = field.repeated ? !Array.isArray(own) || own.length === 0 : isZero(field.kind, own);
    if (!empty || field.number < firstOwnNumber) {
      out[field.local.toLowerCase()] = yamlField(field, own);
    }
  }
  return out;
}

function yamlField(field: NamedField, own: unknown): Json {
  if (field.repeated) {
    return Array.isArray(own) ? own.map((item) => yamlItem(field.kind, item)) : [];
  }
  return yamlItem(field.kind, own);
}

function yamlItem(kind: FieldKind, value: unknown): Json {
  switch (kind.is) {
    case "time":
      return typeof value === "number" ? { ...secondsAndNanos(value) } : null;
    case "message":
      return typeof value === "object" && value !== null ? yamlMessage(kind.type, value) : null;
    case "enum":
      return Math.max(0, kind.type.names.indexOf(String(value)));
    case "string":
    case "bool":
    case "u64":
    case "number":
    case "json":
      return value as Json;
  }
}

/** Go's encoder writes these characters as escapes. */
function escapeAsGo(text: string): string {
  return text.replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
