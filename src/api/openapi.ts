// The OpenAPI 2 document, made from the declarations of the calls. Operations and definitions are named as in headscale's
// document, so that clients generated from either are the same.
import type { AnyCall } from "./call.ts";
import type { FieldKind, MessageType, NamedField } from "./message.ts";
import type { Json } from "../wire/tailcfg.ts";

type Schema = { [key: string]: Json };

export function openApiDocument(calls: readonly AnyCall[], version: string): Json {
  const definitions = new Map<string, Schema>();
  const paths: { [path: string]: Schema } = {};
  for (const call of calls) {
    const entry = (paths[pathOf(call)] ??= {});
    entry[call.method.toLowerCase()] = operationObject(call, definitions);
  }
  definitions.set("rpcStatus", {
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

/** `/node/{node_id}` as `/node/{nodeId}`, as all names of the document. */
function pathOf(call: AnyCall): string {
  return call.path.replaceAll(/\{([^}]+)\}/g, (_, snake: string) => {
    const field = call.request.fields.find((candidate) => candidate.snake === snake);
    return `{${field?.local ?? snake}}`;
  });
}

function operationObject(call: AnyCall, definitions: Map<string, Schema>): Schema {
  return {
    operationId: `${serviceOf(call)}_${call.name}`,
    summary: call.about,
    description: `Needs the scope \`${call.scope}\`.`,
    tags: [serviceOf(call)],
    parameters: parametersOf(call, definitions),
    responses: {
      "200": { description: "Done.", schema: reference(call.response, definitions) },
      default: { description: "Refused.", schema: { $ref: "#/definitions/rpcStatus" } },
    },
  };
}

function serviceOf(call: AnyCall): string {
  return call.inHeadscale ? "HeadscaleService" : "HawserService";
}

function parametersOf(call: AnyCall, definitions: Map<string, Schema>): Json[] {
  const inPath = new Set([...call.path.matchAll(/\{([^}]+)\}/g)].map((match) => match[1]));
  const rest = call.request.fields.filter((field) => !inPath.has(field.snake));
  const parameters: Json[] = call.request.fields
    .filter((field) => inPath.has(field.snake))
    .map((field) => ({ ...plainSchema(field), name: field.local, in: "path", required: true }));
  if (call.input !== "body") {
    parameters.push(...rest.map((field) => ({ ...plainSchema(field), name: field.local, in: "query" })));
  } else if (rest.length > 0) {
    parameters.push({ name: "body", in: "body", required: true, schema: bodySchema(call, rest, definitions) });
  }
  return parameters;
}

/** The request, or what of it is not in the path. */
function bodySchema(call: AnyCall, rest: readonly NamedField[], definitions: Map<string, Schema>): Schema {
  if (rest.length === call.request.fields.length) {
    return reference(call.request, definitions);
  }
  const name = `${serviceOf(call)}${call.name}Body`;
  const properties = Object.fromEntries(rest.map((field) => [field.local, fieldSchema(field, definitions)]));
  definitions.set(name, { type: "object", properties });
  return { $ref: `#/definitions/${name}` };
}

function plainSchema(field: NamedField): Schema {
  return fieldSchema(field, new Map());
}

function reference(type: MessageType<object>, definitions: Map<string, Schema>): Schema {
  const name = `v1${type.name}`;
  if (!definitions.has(name)) {
    const properties: Schema = {};
    // Set first: a message may contain itself.
    definitions.set(name, { type: "object", properties });
    for (const field of type.fields) {
      properties[field.local] = fieldSchema(field, definitions);
    }
  }
  return { $ref: `#/definitions/${name}` };
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
      definitions.set(`v1${kind.type.name}`, {
        type: "string",
        enum: kind.type.names,
        default: kind.type.names[0] ?? "",
      });
      return { $ref: `#/definitions/v1${kind.type.name}` };
    case "message":
      return reference(kind.type, definitions);
    case "json":
      return {};
  }
}
