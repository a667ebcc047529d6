// The OpenAPI 2 document, made from the declarations of the calls.
import type { AnyCall } from "./call.ts";
import type { FieldKind, MessageType, NamedField } from "./message.ts";
import type { Json } from "../wire/tailcfg.ts";

type Schema = { [key: string]: Json };

export function openApiDocument(calls: readonly AnyCall[], version: string): Json {
  const definitions = new Map<string, Schema>();
  const paths: { [path: string]: Schema } = {};
  for (const call of calls) {
    const entry = (paths[call.path] ??= {});
    entry[call.method.toLowerCase()] = operationObject(call, definitions);
  }
  definitions.set("Error", {
    type: "object",
    properties: {
      code: { type: "integer", format: "int32", description: "The gRPC status code." },
      message: { type: "string" },
      details: { type: "array", items: { type: "object" } },
    },
  });
  return {
    swagger: "2.0",
    info: { title: "Hawser", version, description: "The admin interface, compatible with headscale's /api/v1." },
    consumes: ["application/json"],
    produces: ["application/json"],
    securityDefinitions: {
      Bearer: { type: "apiKey", name: "Authorization", in: "header", description: "`Bearer` and an API key." },
    },
    security: [{ Bearer: [] }],
    paths,
    definitions: Object.fromEntries(definitions),
  };
}

function operationObject(call: AnyCall, definitions: Map<string, Schema>): Schema {
  return {
    operationId: call.name,
    summary: call.about,
    description: `Needs the scope \`${call.scope}\`.`,
    tags: [call.scope.split(":")[0] ?? ""],
    parameters: parametersOf(call, definitions),
    responses: {
      "200": { description: "Done.", schema: reference(call.response, definitions) },
      default: { description: "Refused.", schema: { $ref: "#/definitions/Error" } },
    },
  };
}

function parametersOf(call: AnyCall, definitions: Map<string, Schema>): Json[] {
  const inPath = new Set([...call.path.matchAll(/\{([^}]+)\}/g)].map((match) => match[1]));
  const rest = call.request.fields.filter((field) => !inPath.has(field.snake));
  const parameters: Json[] = call.request.fields
    .filter((field) => inPath.has(field.snake))
    .map((field) => ({ ...plainSchema(field), name: field.snake, in: "path", required: true }));
  if (call.input !== "body") {
    parameters.push(...rest.map((field) => ({ ...plainSchema(field), name: field.local, in: "query" })));
  } else if (rest.length > 0) {
    parameters.push({ name: "body", in: "body", required: true, schema: reference(call.request, definitions) });
  }
  return parameters;
}

function plainSchema(field: NamedField): Schema {
  return fieldSchema(field, new Map());
}

function reference(type: MessageType<object>, definitions: Map<string, Schema>): Schema {
  if (!definitions.has(type.name)) {
    const properties: Schema = {};
    // Set first: a message may contain itself.
    definitions.set(type.name, { type: "object", properties });
    for (const field of type.fields) {
      properties[field.local] = fieldSchema(field, definitions);
    }
  }
  return { $ref: `#/definitions/${type.name}` };
}

function fieldSchema(field: NamedField, definitions: Map<string, Schema>): Schema {
  const item = kindSchema(field.kind, definitions);
  const schema = field.repeated ? { type: "array", items: item } : item;
  return field.about === undefined ? schema : { ...schema, description: field.about };
}

function kindSchema(kind: FieldKind, definitions: Map<string, Schema>): Schema {
  switch (kind.is) {
    case "string":
      return { type: "string" };
    case "bool":
      return { type: "boolean" };
    case "u64":
      return { type: "string", format: "uint64" };
    case "number":
      return { type: "number" };
    case "time":
      return { type: "string", format: "date-time" };
    case "enum":
      return { type: "string", enum: kind.type.names, default: kind.type.names[0] ?? "" };
    case "message":
      return reference(kind.type, definitions);
    case "json":
      return {};
  }
}
