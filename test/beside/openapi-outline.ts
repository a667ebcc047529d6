// Of an OpenAPI document, what a generator of clients makes code of: not the words for people, and not what is ours alone.
import { at, isRecord } from "./json.ts";

export function openApiOutline(document: unknown): unknown {
  const paths = operations(at(document, "paths"));
  const used = reached(at(document, "definitions"), references(paths));
  return { paths, definitions: definitions(at(document, "definitions"), used) };
}

function references(value: unknown): readonly string[] {
  return [...JSON.stringify(value).matchAll(/#\/definitions\/(\w+)/g)].map(([, name = ""]) => name);
}

/** The names and all that they refer to. */
function reached(all: unknown, names: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  const open = [...names];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (!found.has(name)) {
      found.add(name);
      open.push(...references(at(all, name) ?? {}));
    }
  }
  return found;
}

function operations(paths: unknown): unknown {
  const lines: Record<string, unknown> = {};
  for (const [path, methods] of entries(paths)) {
    for (const [method, operation] of entries(methods)) {
      const id = at(operation, "operationId");
      if (typeof id === "string" && id.startsWith("HeadscaleService_")) {
        lines[`${method} ${path}`] = {
          id,
          tags: at(operation, "tags"),
          answer: at(operation, "responses.200.schema"),
          refusal: at(operation, "responses.default.schema"),
          parameters: list(at(operation, "parameters")).map(parameter).sort(),
        };
      }
    }
  }
  return lines;
}

function parameter(value: unknown): string {
  const schema = at(value, "schema.$ref");
  return [at(value, "in"), at(value, "name"), at(value, "type"), at(value, "format"), schema].map(String).join(" ");
}

function definitions(value: unknown, used: ReadonlySet<string>): unknown {
  return Object.fromEntries(
    entries(value)
      .filter(([name]) => used.has(name) && /^(?:v1|HeadscaleService)/.test(name))
      .map(([name, definition]) => [
        name,
        Object.fromEntries(entries(at(definition, "properties")).map(([field, schema]) => [field, kind(schema)])),
      ]),
  );
}

function kind(schema: unknown): unknown {
  const item = at(schema, "items.$ref") ?? at(schema, "items.type");
  return [at(schema, "type"), at(schema, "format"), at(schema, "$ref"), item]
    .filter((part): part is string => typeof part === "string")
    .join(" ");
}

function entries(value: unknown): readonly (readonly [string, unknown])[] {
  return isRecord(value) ? Object.entries(value) : [];
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
