// The effective configuration as a config.yaml: loaded again, it gives the same settings.
import { stringify } from "yaml";
import type { Config } from "./config.ts";
import { keys } from "./keys.ts";
import { keySections } from "./sections.ts";
import { written } from "./written.ts";
import type { WrittenValue } from "./written.ts";

export interface DumpOptions {
  readonly withSecrets: boolean;
}

interface Line {
  /** Dotted. */
  readonly key: string;
  /** Undefined: a secret that is left out. */
  readonly value: WrittenValue | undefined;
}

export interface DumpedConfig {
  /** What the keys say, nested as in a file. */
  readonly tree: Tree;
  readonly yaml: string;
}

export interface Tree {
  readonly [name: string]: WrittenValue | Tree;
}

/** In the order of docs/configuration.md; keys that have no say in this configuration are not there. */
export function dumpConfig(config: Config, { withSecrets }: DumpOptions): DumpedConfig {
  const sections = keySections(linesOf(config, withSecrets)).filter(({ specs }) => specs.length > 0);
  const blocks = sections.map(({ title, specs }) => {
    const missing = specs.filter(({ value }) => value === undefined);
    const notes = missing.map(({ key }) => `# ${key} is set, but left out here: --with-secrets prints it\n`);
    return `# ${title}\n${notes.join("")}${stringify(nested(specs), { lineWidth: 0 })}`;
  });
  return { tree: nested(sections.flatMap(({ specs }) => specs)), yaml: blocks.join("\n") };
}

function linesOf(config: Config, withSecrets: boolean): readonly Line[] {
  return namesOf(written).flatMap((name): Line[] => {
    const entry = written[name](config);
    const { key } = keys[name];
    switch (entry.is) {
      case "value":
        return [{ key, value: entry.value }];
      case "secret":
        return [{ key, value: withSecrets ? entry.value : undefined }];
      case "left out":
        return [];
    }
  });
}

function namesOf<Name extends string>(record: Readonly<Record<Name, unknown>>): readonly Name[] {
  const names: Name[] = [];
  for (const name in record) {
    names.push(name);
  }
  return names;
}

function nested(lines: readonly Line[]): Tree {
  const root: { [name: string]: WrittenValue | Tree } = {};
  const own = new Map<string, { [name: string]: WrittenValue | Tree }>([["", root]]);
  const sectionOf = (path: string): { [name: string]: WrittenValue | Tree } => {
    const known = own.get(path);
    if (known !== undefined) {
      return known;
    }
    const section = {};
    own.set(path, section);
    const dot = path.lastIndexOf(".");
    sectionOf(dot === -1 ? "" : path.slice(0, dot))[path.slice(dot + 1)] = section;
    return section;
  };
  for (const { key, value } of lines) {
    if (value !== undefined) {
      const dot = key.lastIndexOf(".");
      sectionOf(dot === -1 ? "" : key.slice(0, dot))[key.slice(dot + 1)] = value;
    }
  }
  return root;
}
