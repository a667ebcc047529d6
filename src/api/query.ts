// The query of a URL as Go reads it, which headscale's callers know: `;` is no separator, and an escape that is none is a
// fault instead of a text.
import type { Decoded } from "./json-dialect.ts";

export function parseQuery(text: string): Decoded<ReadonlyMap<string, readonly string[]>> {
  const values = new Map<string, string[]>();
  for (const part of text.split("&")) {
    if (part === "") {
      continue;
    }
    if (part.includes(";")) {
      return { ok: false, problem: "invalid semicolon separator in query" };
    }
    const mark = part.indexOf("=");
    const name = unescaped(mark === -1 ? part : part.slice(0, mark));
    const value = unescaped(mark === -1 ? "" : part.slice(mark + 1));
    if (!name.ok) {
      return name;
    }
    if (!value.ok) {
      return value;
    }
    const known = values.get(name.value);
    if (known === undefined) {
      values.set(name.value, [value.value]);
    } else {
      known.push(value.value);
    }
  }
  return { ok: true, value: values };
}

function unescaped(text: string): Decoded<string> {
  const wrong = /%(?![0-9A-Fa-f]{2}).{0,2}/.exec(text);
  if (wrong !== null) {
    return { ok: false, problem: `invalid URL escape ${JSON.stringify(wrong[0])}` };
  }
  try {
    return { ok: true, value: decodeURIComponent(text.replaceAll("+", " ")) };
  } catch {
    return { ok: false, problem: "an escape in the query is not UTF-8" };
  }
}
