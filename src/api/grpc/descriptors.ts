// The declarations of the calls as protobuf descriptors, built when gRPC is first used.
import { create, createFileRegistry } from "@bufbuild/protobuf";
import type { DescService } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_timestamp,
} from "@bufbuild/protobuf/wkt";
import type { AnyCall } from "../call.ts";
import type { EnumType, FieldKind, MessageType, NamedField } from "../message.ts";
import { typesOf } from "./proto-text.ts";

const packageName = "headscale.v1";

/** The service that these calls make. */
export function serviceOf(calls: readonly AnyCall[]): DescService {
  const { messages, enums } = typesOf(calls);
  const file = create(FileDescriptorProtoSchema, {
    name: "headscale/v1/headscale.proto",
    package: packageName,
    syntax: "proto3",
    dependency: [file_google_protobuf_timestamp.proto.name],
    messageType: messages.map(messageProto),
    enumType: enums.map(enumProto),
    service: [
      {
        name: "HeadscaleService",
        method: calls.map((call) => ({
          name: call.name,
          inputType: `.${packageName}.${call.request.name}`,
          outputType: `.${packageName}.${call.response.name}`,
        })),
      },
    ],
  });
  const set = create(FileDescriptorSetSchema, { file: [file_google_protobuf_timestamp.proto, file] });
  const service = createFileRegistry(set).getService(`${packageName}.HeadscaleService`);
  if (service === undefined) {
    throw new Error("the declarations do not make a service");
  }
  return service;
}

function messageProto(type: MessageType<object>): { name: string; field: object[] } {
  return { name: type.name, field: type.fields.map(fieldProto) };
}

function fieldProto(field: NamedField): object {
  return {
    name: field.snake,
    jsonName: field.local,
    number: field.number,
    label: field.repeated ? FieldDescriptorProto_Label.REPEATED : FieldDescriptorProto_Label.OPTIONAL,
    ...kindProto(field.kind),
  };
}

function kindProto(kind: FieldKind): { type: FieldDescriptorProto_Type; typeName?: string } {
  switch (kind.is) {
    case "string":
      return { type: FieldDescriptorProto_Type.STRING };
    case "bool":
      return { type: FieldDescriptorProto_Type.BOOL };
    case "u64":
      return { type: FieldDescriptorProto_Type.UINT64 };
    case "time":
      return { type: FieldDescriptorProto_Type.MESSAGE, typeName: ".google.protobuf.Timestamp" };
    case "enum":
      return { type: FieldDescriptorProto_Type.ENUM, typeName: `.${packageName}.${kind.type.name}` };
    case "message":
      return { type: FieldDescriptorProto_Type.MESSAGE, typeName: `.${packageName}.${kind.type.name}` };
    case "number":
    case "json":
      throw new Error(`no protobuf form for ${kind.is}`);
  }
}

function enumProto(type: EnumType): { name: string; value: { name: string; number: number }[] } {
  return { name: type.name, value: type.names.map((name, number) => ({ name, number })) };
}
