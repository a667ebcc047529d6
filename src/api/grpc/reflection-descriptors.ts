// The public protocol by which gRPC tools ask a server what it serves (grpc.reflection.v1 and its earlier name v1alpha),
// as protobuf descriptors.
import { create, createFileRegistry } from "@bufbuild/protobuf";
import type { DescService } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";

export const reflectionVersions = ["v1", "v1alpha"] as const;
export type ReflectionVersion = (typeof reflectionVersions)[number];

type Field = readonly [name: string, number: number, type: "string" | "bytes" | "int32" | { message: string }];

interface MessageSketch {
  readonly name: string;
  readonly fields?: readonly Field[];
  readonly repeated?: readonly Field[];
  readonly oneof?: { readonly name: string; readonly fields: readonly Field[] };
}

const messages: readonly MessageSketch[] = [
  {
    name: "ServerReflectionRequest",
    fields: [["host", 1, "string"]],
    oneof: {
      name: "message_request",
      fields: [
        ["file_by_filename", 3, "string"],
        ["file_containing_symbol", 4, "string"],
        ["file_containing_extension", 5, { message: "ExtensionRequest" }],
        ["all_extension_numbers_of_type", 6, "string"],
        ["list_services", 7, "string"],
      ],
    },
  },
  {
    name: "ExtensionRequest",
    fields: [
      ["containing_type", 1, "string"],
      ["extension_number", 2, "int32"],
    ],
  },
  {
    name: "ServerReflectionResponse",
    fields: [
      ["valid_host", 1, "string"],
      ["original_request", 2, { message: "ServerReflectionRequest" }],
    ],
    oneof: {
      name: "message_response",
      fields: [
        ["file_descriptor_response", 4, { message: "FileDescriptorResponse" }],
        ["all_extension_numbers_response", 5, { message: "ExtensionNumberResponse" }],
        ["list_services_response", 6, { message: "ListServiceResponse" }],
        ["error_response", 7, { message: "ErrorResponse" }],
      ],
    },
  },
  { name: "FileDescriptorResponse", repeated: [["file_descriptor_proto", 1, "bytes"]] },
  {
    name: "ExtensionNumberResponse",
    fields: [["base_type_name", 1, "string"]],
    repeated: [["extension_number", 2, "int32"]],
  },
  { name: "ListServiceResponse", repeated: [["service", 1, { message: "ServiceResponse" }]] },
  { name: "ServiceResponse", fields: [["name", 1, "string"]] },
  {
    name: "ErrorResponse",
    fields: [
      ["error_code", 1, "int32"],
      ["error_message", 2, "string"],
    ],
  },
];

const scalars = {
  string: FieldDescriptorProto_Type.STRING,
  bytes: FieldDescriptorProto_Type.BYTES,
  int32: FieldDescriptorProto_Type.INT32,
} as const;

/** `ServerReflection` of this version. */
export function reflectionService(version: ReflectionVersion): DescService {
  const packageName = `grpc.reflection.${version}`;
  const file = create(FileDescriptorProtoSchema, {
    name: `grpc/reflection/${version}/reflection.proto`,
    package: packageName,
    syntax: "proto3",
    messageType: messages.map((sketch) => messageProto(sketch, packageName)),
    service: [
      {
        name: "ServerReflection",
        method: [
          {
            name: "ServerReflectionInfo",
            inputType: `.${packageName}.ServerReflectionRequest`,
            outputType: `.${packageName}.ServerReflectionResponse`,
            clientStreaming: true,
            serverStreaming: true,
          },
        ],
      },
    ],
  });
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] }));
  const service = registry.getService(`${packageName}.ServerReflection`);
  if (service === undefined) {
    throw new Error("the sketch does not make a service");
  }
  return service;
}

function messageProto({ name, fields = [], repeated = [], oneof }: MessageSketch, packageName: string) {
  const proto = ([fieldName, number, type]: Field, label: FieldDescriptorProto_Label) => ({
    name: fieldName,
    number,
    label,
    ...(typeof type === "string"
      ? { type: scalars[type] }
      : { type: FieldDescriptorProto_Type.MESSAGE, typeName: `.${packageName}.${type.message}` }),
  });
  const single = FieldDescriptorProto_Label.OPTIONAL;
  return {
    name,
    field: [
      ...fields.map((field) => proto(field, single)),
      ...repeated.map((field) => proto(field, FieldDescriptorProto_Label.REPEATED)),
      ...(oneof?.fields ?? []).map((field) => ({ ...proto(field, single), oneofIndex: 0 })),
    ],
    oneofDecl: oneof === undefined ? [] : [{ name: oneof.name }],
  };
}
