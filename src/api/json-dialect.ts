// protobuf's JSON mapping as grpc-gateway speaks it (headscale reference §3.2). Out: camelCase, 64-bit numbers as
// strings, RFC 3339 times, enum names, unset fields written. In: camelCase or snake_case, numbers or their text, unknown
// fields skipped, null is unset.
import { fieldOf } from "./message.ts";
import type { FieldKind, MessageType, NamedField } from "./message.ts";
import { neverNoted, parseTimestamp, timestampText } from "./timestamp.ts";
import type { Json } from "../wire/tailcfg.ts";

export type Decoded<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly problem: string };

type JsonObject = { [key: string]: Json };

/** A message's value as a JSON-ready object. */
export function toJson<Value extends object>(type: MessageType<Value>, value: Value): Json {
  const out: JsonObject = {};
  for (const field of type.fields) {
    const own = fieldOf(value, field.local);
    if (field.repeated) {
      out[field.local] = Array.isArray(own) ? own.map((item) => itemToJson(field.kind, item)) : [];
    } else {
      out[field.local] = itemToJson(field.kind, own);
    }
  }
  return out;
}

function itemToJson(kind: FieldKind, value: unknown): Json {
  switch (kind.is) {
    case "string":
    case "enum":
      return typeof value === "string" ? value : "";
    case "bool":
      return value === true;
    case "u64":
      return String(value);
    case "number":
      return typeof value === "number" ? value : 0;
    case "time":
      return typeof value === "number" ? timestampText(value) : null;
    case "message":
      return typeof value === "object" && value !== null ? toJson(kind.type, value) : null;
    case "json":
      return value as Json;
  }
}

/** A value that is not of its field's kind. Thrown inside, so that lists of thousands cost no wrapper per value. */
class WrongValue extends Error {
  override readonly name = "WrongValue";
}

function attempt<Value>(read: () => Value): Decoded<Value> {
  try {
    return { ok: true, value: read() };
  } catch (fault) {
    if (fault instanceof WrongValue) {
      return { ok: false, problem: fault.message };
    }
    throw fault;
  }
}

/**
 * Reads a message from parsed JSON; `problem` names the field. The value is made out of `input`'s own objects where they
 * have its form, so that `input` must be the caller's alone and is not to be used afterwards.
 */
export function fromJson<Value extends object>(type: MessageType<Value>, input: unknown): Decoded<Value> {
  return attempt(() => messageFromJson(type, input));
}

function messageFromJson<Value extends object>(type: MessageType<Value>, input: unknown): Value {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    throw new WrongValue(`expected an object for ${type.name}`);
  }
  return hasForm(type, input) ? inPlace(type, input) : (copied(type, input) as Value);
}

/** Whether the keys are the type's, all of them, in its order: as our own server writes them. */
function hasForm<Value extends object>(type: MessageType<Value>, input: object): input is Value {
  const keys = Object.keys(input);
  const { fields } = type;
  if (keys.length !== fields.length) {
    return false;
  }
  for (let index = 0; index < keys.length; index += 1) {
    if (keys[index] !== fields[index]?.local) {
      return false;
    }
  }
  return true;
}

/** Most values of a message are in their final form already. */
function inPlace<Value extends object>(type: MessageType<Value>, input: Value): Value {
  for (const field of type.fields) {
    const given = fieldOf(input, field.local);
    const value = given === null ? field.unset : fieldFromJson(field, given);
    if (value !== given) {
      Reflect.set(input, field.local, value);
    }
  }
  return input;
}

function copied(type: MessageType<object>, input: object): object {
  const value: Record<string, unknown> = {};
  for (const field of type.fields) {
    const given = ownValue(input, field);
    value[field.local] = given === undefined || given === null ? field.unset : fieldFromJson(field, given);
  }
  return value;
}

function ownValue(input: object, field: NamedField): unknown {
  const hasSnake = field.snake !== field.local && Object.hasOwn(input, field.snake);
  if (!Object.hasOwn(input, field.local)) {
    return hasSnake ? fieldOf(input, field.snake) : undefined;
  }
  if (hasSnake) {
    throw new WrongValue(`duplicate field ${JSON.stringify(field.local)}: it is there as ${field.snake} too`);
  }
  return fieldOf(input, field.local);
}

function fieldFromJson(field: NamedField, given: unknown): unknown {
  try {
    if (!field.repeated) {
      return itemFromJson(field.kind, given);
    }
    if (!Array.isArray(given)) {
      throw new WrongValue("expected a list");
    }
    return given.map((item) => itemFromJson(field.kind, item));
  } catch (fault) {
    throw fault instanceof WrongValue
      ? new WrongValue(`invalid value for field ${field.local}: ${fault.message}`)
      : fault;
  }
}

function itemFromJson(kind: FieldKind, given: unknown): unknown {
  switch (kind.is) {
    case "string":
      return typeof given === "string" ? given : wrong("a string", given);
    case "bool":
      return typeof given === "boolean" ? given : wrong("true or false", given);
    case "u64":
      return typeof given === "string" || typeof given === "number"
        ? unsignedFromJson(String(given))
        : wrong("a number", given);
    case "number":
      return typeof given === "number" ? given : wrong("a number", given);
    case "time":
      return typeof given === "string" ? timeFromText(given) : wrong("a time", given);
    case "enum":
      return enumFromJson(kind.type.names, given);
    case "message":
      return messageFromJson(kind.type, given);
    case "json":
      return given;
  }
}

function enumFromJson(names: readonly string[], given: unknown): string {
  const name = typeof given === "number" ? names[given] : names.find((candidate) => candidate === given);
  return name ?? wrong("one of its names", given);
}

/** A JSON number's text, which may have an exponent; as a JSON text too. */
function unsignedFromJson(text: string): number {
  const number = /^(?:0|[1-9]\d{0,19})(?:\.0+)?(?:[eE]\+?\d{1,2})?$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(number) ? number : wrong("a number", text);
}

/** What Go's strconv.ParseUint takes, in its words; ids above 2^53-1 are out of our range. */
function unsignedFromText(text: string): number {
  if (!/^\d+$/.test(text)) {
    throw new WrongValue(`strconv.ParseUint: parsing ${shown(text)}: invalid syntax`);
  }
  const number = Number(text);
  if (!Number.isSafeInteger(number)) {
    throw new WrongValue(`strconv.ParseUint: parsing ${shown(text)}: value out of range`);
  }
  return number;
}

/** protobuf has no times before year 1. */
function timeFromText(text: string): number {
  const ms = parseTimestamp(text) ?? Number.NEGATIVE_INFINITY;
  return ms < neverNoted ? wrong("a time like 2026-01-02T15:04:05Z", text) : ms;
}

function wrong(expected: string, given: unknown): never {
  throw new WrongValue(`expected ${expected}, not ${shown(given)}`);
}

function shown(given: unknown): string {
  return (JSON.stringify(given) ?? String(given)).slice(0, 80);
}

/** Reads one field from the text in a path, as grpc-gateway does. */
export function fieldFromPath(field: NamedField, text: string): Decoded<unknown> {
  const decoded = attempt(() => itemFromText(field.kind, text));
  return decoded.ok
    ? { ok: true, value: field.repeated ? [decoded.value] : decoded.value }
    : { ok: false, problem: `type mismatch, parameter: ${field.snake}, error: ${decoded.problem}` };
}

/** As `fieldFromPath`, from a query; repeated fields take every occurrence. */
export function fieldFromQuery(field: NamedField, texts: readonly string[]): Decoded<unknown> {
  if (!field.repeated && texts.length > 1) {
    return { ok: false, problem: `too many values for field ${shown(field.snake)}: ${texts.join(", ").slice(0, 80)}` };
  }
  const decoded = attempt(() => texts.map((text) => itemFromText(field.kind, text)));
  return decoded.ok
    ? { ok: true, value: field.repeated ? decoded.value : decoded.value[0] }
    : { ok: false, problem: `parsing field ${shown(field.snake)}: ${decoded.problem}` };
}

function itemFromText(kind: FieldKind, text: string): unknown {
  switch (kind.is) {
    case "string":
      return text;
    case "bool":
      return boolFromText(text);
    case "u64":
      return unsignedFromText(text);
    case "number":
      return /^-?\d{1,15}(\.\d{1,6})?$/.test(text) ? Number(text) : wrong("a number", text);
    case "time":
      return timeFromText(text);
    case "enum":
      return enumFromJson(kind.type.names, /^\d{1,3}$/.test(text) ? Number(text) : text);
    case "message":
    case "json":
      return wrong("a body", text);
  }
}

/** What Go's strconv.ParseBool takes. */
function boolFromText(text: string): boolean {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) {
    return true;
  }
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) {
    return false;
  }
  throw new WrongValue(`strconv.ParseBool: parsing ${shown(text)}: invalid syntax`);
}
