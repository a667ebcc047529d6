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

/** Without a newline at the end. `indent` undefined is one line. */
export function renderJson(shape: Shape, indent: string | undefined): string {
  return escapeAsGo(JSON.stringify(jsonOf(shape), undefined, indent));
}

/** Ends in a newline. */
export function renderYaml(shape: Shape): string {
  return writeGoYaml(yamlOf(shape));
}

function jsonOf(shape: Shape): Json {
  switch (shape.kind) {
    case "message":
      return jsonMessage(shape.type, shape.value);
    case "list":
      return shape.values.length === 0 ? null : shape.values.map((value) => jsonMessage(shape.type, value));
    case "plain":
      return shape.value;
  }
}

function jsonMessage(type: MessageType<object>, value: object): Json {
  const out: JsonObject = {};
  for (const field of type.fields) {
    const own = fieldOf(value, field.local);
    if (field.repeated) {
      if (Array.isArray(own) && own.length > 0) {
        out[field.snake] = own.map((item) => jsonItem(field.kind, item));
      }
    } else if (!isZero(field.kind, own)) {
      out[field.snake] = jsonItem(field.kind, own);
    }
  }
  return out;
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

function jsonItem(kind: FieldKind, value: unknown): Json {
  switch (kind.is) {
    case "time": {
      const { seconds, nanos } = secondsAndNanos(Number(value));
      return { ...(seconds === 0 ? {} : { seconds }), ...(nanos === 0 ? {} : { nanos }) };
    }
    case "enum":
      return Math.max(0, kind.type.names.indexOf(String(value)));
    case "message":
      return typeof value === "object" && value !== null ? jsonMessage(kind.type, value) : null;
    case "string":
    case "bool":
    case "u64":
    case "number":
    case "json":
      return value as Json;
  }
}

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
