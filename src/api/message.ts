// Messages of the admin interface, declared once: field names, numbers and kinds. From a declaration come the TypeScript
// type, the JSON dialect of REST, the protobuf form, the OpenAPI schema and the command line's output shapes, so that
// they cannot disagree. This file loads quickly: the command line imports it.
import type { Json } from "../wire/tailcfg.ts";

export type FieldKind =
  | { readonly is: "string" }
  | { readonly is: "bool" }
  /** Unsigned 64 bits on the wire, at most 2^53−1 here. */
  | { readonly is: "u64" }
  /** A small number, written as a JSON number. REST only. */
  | { readonly is: "number" }
  /** Milliseconds since 1970; null when unset. */
  | { readonly is: "time" }
  | { readonly is: "enum"; readonly type: EnumType }
  | { readonly is: "message"; readonly type: MessageType<object> }
  /** Any JSON value, verbatim. REST only. */
  | { readonly is: "json" };

/** `Value` is what the field holds in TypeScript; `unset` is the value of a field that was not given. */
export interface Field<Value> {
  readonly number: number;
  readonly kind: FieldKind;
  readonly repeated: boolean;
  readonly unset: Value;
  /** One line for the OpenAPI document. */
  readonly about?: string;
}

export interface EnumType {
  readonly name: string;
  /** Index is the number; the first is "unspecified". */
  readonly names: readonly string[];
}

export interface NamedField extends Field<unknown> {
  /** `createdAt`: the key of the TypeScript value and of REST's output. */
  readonly local: string;
  /** `created_at`: the protobuf name. */
  readonly snake: string;
}

export interface MessageType<Value extends object> {
  readonly name: string;
  readonly fields: readonly NamedField[];
  /** All fields unset, frozen. */
  readonly unset: Value;
}

type ValueOfFields<Fields> = {
  readonly [Key in keyof Fields]: Fields[Key] extends Field<infer Value> ? Value : never;
};
/** The TypeScript value of a message. */
export type ValueOf<Type> = Type extends MessageType<infer Value> ? Value : never;

function snakeCase(local: string): string {
  return local.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

export function message<Fields extends Record<string, Field<unknown>>>(
  name: string,
  fields: Fields,
): MessageType<ValueOfFields<Fields>> {
  const named = Object.entries(fields).map(([local, field]) => ({ ...field, local, snake: snakeCase(local) }));
  const unset = Object.freeze(Object.fromEntries(named.map((field) => [field.local, field.unset])));
  return { name, fields: named, unset: unset as ValueOfFields<Fields> };
}

export function enumeration(name: string, names: readonly string[]): EnumType {
  return { name, names };
}

const noItems: readonly never[] = Object.freeze([]);

export function str(number: number, about?: string): Field<string> {
  return field(number, { is: "string" }, "", about);
}
export function strs(number: number, about?: string): Field<readonly string[]> {
  return list(number, { is: "string" }, about);
}
export function bool(number: number, about?: string): Field<boolean> {
  return field(number, { is: "bool" }, false, about);
}
export function u64(number: number, about?: string): Field<number> {
  return field(number, { is: "u64" }, 0, about);
}
export function u64s(number: number, about?: string): Field<readonly number[]> {
  return list(number, { is: "u64" }, about);
}
export function num(number: number, about?: string): Field<number> {
  return field(number, { is: "number" }, 0, about);
}
export function time(number: number, about?: string): Field<number | null> {
  return field<number | null>(number, { is: "time" }, null, about);
}
export function json(number: number, about?: string): Field<Json> {
  return field<Json>(number, { is: "json" }, null, about);
}
export function oneOf(number: number, type: EnumType, about?: string): Field<string> {
  return field(number, { is: "enum", type }, type.names[0] ?? "", about);
}
export function sub<Value extends object>(
  number: number,
  type: MessageType<Value>,
  about?: string,
): Field<Value | null> {
  return field<Value | null>(number, { is: "message", type }, null, about);
}
export function subs<Value extends object>(
  number: number,
  type: MessageType<Value>,
  about?: string,
): Field<readonly Value[]> {
  return list(number, { is: "message", type }, about);
}

function field<Value>(number: number, kind: FieldKind, unset: Value, about: string | undefined): Field<Value> {
  return { number, kind, repeated: false, unset, ...(about === undefined ? {} : { about }) };
}

function list<Item>(number: number, kind: FieldKind, about: string | undefined): Field<readonly Item[]> {
  return { number, kind, repeated: true, unset: noItems, ...(about === undefined ? {} : { about }) };
}

/** A field of a value whose message type is known only at run time. */
export function fieldOf(value: object, name: string): unknown {
  return Reflect.get(value, name);
}
