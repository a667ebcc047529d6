// Between our values and protobuf-es messages: ids are bigint there, times Timestamps, enums numbers.
import { create } from "@bufbuild/protobuf";
import type { DescMessage, Message } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { mapInTurns } from "../in-turns.ts";
import { fieldOf } from "../message.ts";
import type { FieldKind, MessageType } from "../message.ts";

export type FromMessage =
  | { readonly ok: true; readonly value: object }
  | { readonly ok: false; readonly problem: string };

class OutOfRange extends Error {
  override readonly name = "OutOfRange";
}

/** Our value of a received message; a number above 2^53−1 is a problem. */
export function fromMessage(type: MessageType<object>, input: Message): FromMessage {
  try {
    return { ok: true, value: valueFrom(type, input) };
  } catch (fault) {
    if (fault instanceof OutOfRange) {
      return { ok: false, problem: fault.message };
    }
    throw fault;
  }
}

function valueFrom(type: MessageType<object>, input: object): object {
  const value: Record<string, unknown> = {};
  for (const field of type.fields) {
    const own = fieldOf(input, field.local);
    if (field.repeated) {
      value[field.local] = Array.isArray(own) ? own.map((item) => itemFrom(field.kind, item, field.local)) : [];
    } else {
      value[field.local] = own === undefined ? field.unset : itemFrom(field.kind, own, field.local);
    }
  }
  return value;
}

/** Before this the year is 1: Go's way to say that there is no time. */
const noTimeBeforeSeconds = -62_135_510_400n;

function itemFrom(kind: FieldKind, item: unknown, name: string): unknown {
  switch (kind.is) {
    case "u64": {
      const number = Number(item);
      if (!Number.isSafeInteger(number)) {
        throw new OutOfRange(`${name} is out of range`);
      }
      return number;
    }
    case "time": {
      const seconds = typeof item === "object" && item !== null ? fieldOf(item, "seconds") : undefined;
      const nanos = typeof item === "object" && item !== null ? fieldOf(item, "nanos") : undefined;
      if (typeof seconds !== "bigint" || seconds < noTimeBeforeSeconds) {
        return null;
      }
      if (seconds > 253_402_300_799n) {
        throw new OutOfRange(`${name} is out of range`);
      }
      return Number(seconds) * 1000 + Math.floor(Number(nanos ?? 0) / 1_000_000);
    }
    case "enum":
      return kind.type.names[Number(item)] ?? kind.type.names[0];
    case "message":
      return typeof item === "object" && item !== null ? valueFrom(kind.type, item) : null;
    case "string":
    case "bool":
    case "number":
    case "json":
      return item;
  }
}

/** A message to send. `desc` is the descriptor that serviceOf made of `type`. */
export function toMessage(type: MessageType<object>, desc: DescMessage, value: object): Message {
  return create(desc, initFrom(type, desc, value));
}

/** The same, with a turn for others after each slice of a long list. */
export async function toMessageInTurns(type: MessageType<object>, desc: DescMessage, value: object): Promise<Message> {
  const lists = type.fields.filter(({ repeated }) => repeated);
  const init = initFrom(type, desc, { ...value, ...Object.fromEntries(lists.map(({ local }) => [local, []])) });
  for (const { local, kind } of lists) {
    const own = fieldOf(value, local);
    const inner = desc.field[local]?.message;
    init[local] = await mapInTurns(Array.isArray(own) ? own : [], (item: unknown) => itemTo(kind, inner, item));
  }
  return create(desc, init);
}

function initFrom(type: MessageType<object>, desc: DescMessage, value: object): Record<string, unknown> {
  const init: Record<string, unknown> = {};
  for (const field of type.fields) {
    const own = fieldOf(value, field.local);
    const inner = desc.field[field.local]?.message;
    if (field.repeated) {
      init[field.local] = Array.isArray(own) ? own.map((item) => itemTo(field.kind, inner, item)) : [];
    } else if (own !== null && own !== undefined) {
      init[field.local] = itemTo(field.kind, inner, own);
    }
  }
  return init;
}

function itemTo(kind: FieldKind, desc: DescMessage | undefined, item: unknown): unknown {
  switch (kind.is) {
    case "u64":
      return BigInt(Number(item));
    case "time": {
      const ms = Number(item);
      const seconds = Math.floor(ms / 1000);
      return create(TimestampSchema, {
        seconds: BigInt(seconds),
        nanos: Math.round((ms - seconds * 1000) * 1_000_000),
      });
    }
    case "enum":
      return Math.max(0, kind.type.names.indexOf(String(item)));
    case "message":
      return desc !== undefined && typeof item === "object" && item !== null
        ? toMessage(kind.type, desc, item)
        : undefined;
    case "string":
    case "bool":
    case "number":
    case "json":
      return item;
  }
}
