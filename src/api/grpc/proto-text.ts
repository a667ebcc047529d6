// The declarations of the calls as a .proto file, for those who make their own clients (headscale.proto beside this file
// is its output, checked by a test).
import type { AnyCall } from "../call.ts";
import type { EnumType, FieldKind, MessageType } from "../message.ts";

/** `calls` in the order of the file; messages are written before they are first used. */
export function protoText(calls: readonly AnyCall[]): string {
  const { messages, enums } = typesOf(calls);
  const blocks = [
    `// headscale's service: the same names and numbers, so that its clients and Hawser's server understand each other.
// Fields from 100 on are Hawser's own. Made from src/api/messages.ts; a test holds the two together.
syntax = "proto3";
package headscale.v1;

import "google/protobuf/timestamp.proto";`,
    `service HeadscaleService {\n${calls.map((call) => `  rpc ${call.name}(${call.request.name}) returns (${call.response.name});`).join("\n")}\n}`,
    ...enums.map(
      (type) => `enum ${type.name} {\n${type.names.map((name, number) => `  ${name} = ${number};`).join("\n")}\n}`,
    ),
    ...messages.map(messageText),
  ];
  return `${blocks.join("\n\n")}\n`;
}

function messageText(type: MessageType<object>): string {
  if (type.fields.length === 0) {
    return `message ${type.name} {}`;
  }
  const lines = type.fields.map((field) => {
    const about = field.about === undefined ? "" : `  // ${field.about}\n`;
    return `${about}  ${field.repeated ? "repeated " : ""}${kindText(field.kind)} ${field.snake} = ${field.number};`;
  });
  return `message ${type.name} {\n${lines.join("\n")}\n}`;
}

function kindText(kind: FieldKind): string {
  switch (kind.is) {
    case "string":
      return "string";
    case "bool":
      return "bool";
    case "u64":
      return "uint64";
    case "time":
      return "google.protobuf.Timestamp";
    case "enum":
    case "message":
      return kind.type.name;
    case "number":
    case "json":
      throw new Error(`no protobuf form for ${kind.is}: such fields are for REST alone`);
  }
}

/** Every message and enum that the calls reach, each once. */
export function typesOf(calls: readonly AnyCall[]): {
  readonly messages: readonly MessageType<object>[];
  readonly enums: readonly EnumType[];
} {
  const messages = new Map<string, MessageType<object>>();
  const enums = new Map<string, EnumType>();
  const visit = (type: MessageType<object>): void => {
    for (const { kind } of type.fields) {
      if (kind.is === "message" && !messages.has(kind.type.name)) {
        visit(kind.type);
      } else if (kind.is === "enum") {
        enums.set(kind.type.name, kind.type);
      }
    }
    messages.set(type.name, type);
  };
  for (const call of calls) {
    visit(call.request);
    visit(call.response);
  }
  return { messages: [...messages.values()], enums: [...enums.values()] };
}
