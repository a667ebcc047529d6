// The page at /swagger: the calls as a readable list, made on the server from the same document that
// /swagger/v1/openapiv2.json carries. No script and nothing loaded from elsewhere.
import type { AnyCall } from "./call.ts";
import type { MessageType, NamedField } from "./message.ts";

export function swaggerPage(calls: readonly AnyCall[], version: string): string {
  const byArea = Map.groupBy(calls, (call) => call.scope.split(":")[0] ?? "");
  const sections = [...byArea].map(([area, own]) => `<h2>${escape(area)}</h2>${own.map(callSection).join("")}`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Hawser API</title>
<style>
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code{font-family:ui-monospace,monospace}details{border-top:1px solid #8884;padding:.4rem 0}summary{cursor:pointer}
summary code{font-weight:600}.m{display:inline-block;min-width:4.5em}dt{font-family:ui-monospace,monospace}dd{margin:0 0 .2rem 2rem;opacity:.8}
</style></head><body><h1>Hawser API</h1>
<p>Version ${escape(version)}. Every call needs the header <code>Authorization: Bearer &lt;API key&gt;</code>;
<code>hawser apikeys create</code> makes a key. The same as a document: <a href="/swagger/v1/openapiv2.json">openapiv2.json</a>.</p>
${sections.join("")}</body></html>`;
}

function callSection(call: AnyCall): string {
  const places = { body: "body", query: "query", "query or body": "query or body" };
  const request = fieldList(call.request, (field) =>
    call.path.includes(`{${field.snake}}`) ? "path" : places[call.input],
  );
  return (
    `<details><summary><code><span class="m">${call.method}</span> ${escape(call.path)}</code> — ${escape(call.about)}</summary>` +
    `<p>Scope <code>${call.scope}</code>.</p><h3>Request</h3>${request}<h3>Response</h3>${fieldList(call.response, () => "")}</details>`
  );
}

function fieldList(type: MessageType<object>, place: (field: NamedField) => string): string {
  if (type.fields.length === 0) {
    return "<p>Empty.</p>";
  }
  const items = type.fields.map((field) => {
    const kind = field.kind.is === "message" || field.kind.is === "enum" ? field.kind.type.name : field.kind.is;
    const notes = [place(field), `${kind}${field.repeated ? " list" : ""}`, field.about ?? ""];
    return `<dt>${escape(field.local)}</dt><dd>${escape(notes.filter((note) => note !== "").join(" · "))}</dd>`;
  });
  return `<dl>${items.join("")}</dl>`;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
