// Reads config.yaml (and JSON, which YAML contains) into a raw tree with line numbers. All faults of the text are
// collected. Anchors, aliases and merge keys are followed within bounds.
import type { Document, Pair, ParsedNode } from "yaml";
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import type { Raw, RawEntry, RawMap } from "./raw.ts";
import { isRawMap } from "./raw.ts";

/** Larger files are not configurations. */
export const maxConfigBytes = 1024 * 1024;
/** Values an alias repeats count each time. */
const maxNodes = 10_000;
const maxDepth = 32;

export interface YamlFault {
  readonly line: number | null;
  readonly text: string;
}

export interface YamlSource {
  readonly root: RawMap;
  readonly faults: readonly YamlFault[];
}

export function readYaml(text: string): YamlSource {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  const faults: YamlFault[] = doc.errors.map((error) => ({
    line: lines.linePos(error.pos[0]).line,
    text: error.message,
  }));
  if (faults.length > 0) {
    return { root: { entries: [] }, faults };
  }
  const walk: Walk = { doc, lines, faults, nodes: 0, depth: 0 };
  const root = toRaw(doc.contents, walk);
  if (isRawMap(root)) {
    return { root, faults };
  }
  if (root !== null) {
    faults.push({ line: 1, text: "the file must be a list of keys with values (key: value)" });
  }
  return { root: { entries: [] }, faults };
}

interface Walk {
  readonly doc: Document.Parsed;
  readonly lines: LineCounter;
  readonly faults: YamlFault[];
  nodes: number;
  depth: number;
}

function toRaw(node: unknown, walk: Walk): Raw {
  walk.nodes++;
  if (walk.nodes > maxNodes || walk.depth > maxDepth) {
    if (walk.faults.length === 0) {
      walk.faults.push({ line: null, text: "the file holds too many values, or they are nested too deeply" });
    }
    return null;
  }
  walk.depth++;
  const raw = inner(node, walk);
  walk.depth--;
  return raw;
}

function inner(node: unknown, walk: Walk): Raw {
  if (isAlias(node)) {
    return toRaw(node.resolve(walk.doc), walk);
  }
  if (isScalar(node)) {
    if (node.value === null) {
      return null;
    }
    return typeof node.value === "string" ? node.value : (node.source ?? JSON.stringify(node.value));
  }
  if (isSeq(node)) {
    return node.items.map((item) => toRaw(item, walk));
  }
  if (isMap<ParsedNode, ParsedNode | null>(node)) {
    return { entries: entriesOf(node.items, walk) };
  }
  return null;
}

/** Entries that a merge key (`<<`) brings come first: of two entries with one name the later wins. */
function entriesOf(pairs: readonly Pair<ParsedNode, ParsedNode | null>[], walk: Walk): RawEntry[] {
  const merged: RawEntry[] = [];
  const own: RawEntry[] = [];
  for (const { key, value } of pairs) {
    const name = toRaw(key, walk);
    const raw = toRaw(value, walk);
    if (name === "<<") {
      merged.push(...(isRawMap(raw) ? raw.entries : []));
    } else {
      const line = walk.lines.linePos(key.range[0]).line;
      own.push({ name: typeof name === "string" ? name : "", line, value: raw });
    }
  }
  return [...merged, ...own];
}
