// Brings together what the file and the environment say, under today's keys. Everything that is not one of today's
// keys leaves a finding here: renamed, removed, unknown.
import type { Finding } from "./config.ts";
import { allKeys } from "./keys.ts";
import { removedKeys, renamedKeys } from "./old-keys.ts";
import type { Environment } from "./places.ts";
import type { Raw, RawMap } from "./raw.ts";
import { isRawList, isRawMap, kindOf } from "./raw.ts";
import { closestKey, keyWithSameEnd } from "./suggest.ts";

/** What is said for one of today's keys. */
export interface Entry {
  /** Today's key. */
  readonly key: string;
  /** As written: the key in the file (perhaps an old one), or the variable. */
  readonly name: string;
  readonly line: number | null;
  readonly raw: Exclude<Raw, null>;
  readonly from: "file" | "environment";
}

export interface Gathered {
  readonly entries: ReadonlyMap<string, Entry>;
  readonly findings: readonly Finding[];
}

const specs = new Map(allKeys.map((spec) => [spec.key, spec]));
const renames = new Map(renamedKeys.map((key) => [key.old, key]));
const removed = new Map(removedKeys.map((key) => [key.key, key]));
const knownNames = [...specs.keys()];
/** Every proper beginning of a key: `dns`, `dns.nameservers`. */
const sections = new Set([...specs.keys(), ...renames.keys(), ...removed.keys()].flatMap(beginnings));

function beginnings(key: string): string[] {
  const parts = key.split(".");
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join("."));
}

/** The environment beats the file; HAWSER_ beats HEADSCALE_. */
export function gather(file: RawMap, env: Environment): Gathered {
  const findings: Finding[] = [];
  const fromFile = flatten(file, findings).map((entry) => expandVariables(entry, env, findings));
  const fromEnv = readEnvironment(env, findings);
  const entries = new Map<string, Entry>();
  const old: Entry[] = [];
  for (const entry of [...fromFile, ...fromEnv]) {
    if (!specs.has(entry.key)) {
      old.push(entry);
      continue;
    }
    const before = entries.get(entry.key);
    if (before !== undefined) {
      findings.push(overridden(before, entry));
    }
    entries.set(entry.key, entry);
  }
  for (const entry of old) {
    translate(entry, entries, findings);
  }
  return { entries, findings };
}

function overridden(before: Entry, by: Entry): Finding {
  const text = `${before.name} is not used: ${by.name} says otherwise`;
  return { key: before.name, line: before.line, severity: "info", kind: "understood", text };
}

function translate(entry: Entry, entries: Map<string, Entry>, findings: Finding[]): void {
  const rename = renames.get(entry.key);
  if (rename === undefined) {
    return;
  }
  const at = { key: entry.name, line: entry.line, severity: "warning", kind: "renamed" } as const;
  const targets = rename.translate(entry.raw);
  const taken = targets.filter(({ key }) => entries.has(key));
  const note = rename.note === "" ? "" : ` (${rename.note})`;
  if (targets.length === 0) {
    findings.push({ ...at, text: `${entry.name} is now ${rename.today}${note}; its value could not be used` });
    return;
  }
  if (taken.length > 0) {
    findings.push({
      ...at,
      text: `${entry.name} is not used: ${taken.map(({ key }) => key).join(", ")} is set, and is today's name${note}`,
    });
  } else {
    findings.push({ ...at, text: `${entry.name} is now ${rename.today}${note}; it is read as that` });
  }
  for (const { key, raw } of targets) {
    if (raw !== null && !entries.has(key)) {
      entries.set(key, { ...entry, key, raw });
    }
  }
}

/** The file's values under dotted keys in lower case; faults and unknown keys become findings. */
function flatten(root: RawMap, findings: Finding[]): Entry[] {
  const entries: Entry[] = [];
  const visit = (map: RawMap, prefix: string): void => {
    for (const { name, line, value } of map.entries) {
      const shown = prefix + name;
      const key = shown.toLowerCase();
      const rename = renames.get(key);
      if (sections.has(key) && isRawMap(value)) {
        visit(value, `${shown}.`);
      } else if (removed.has(key)) {
        findings.push(removedFinding(shown, key, line));
      } else if (specs.has(key) || rename !== undefined) {
        if (value === null) {
          findings.push(emptyFinding(shown, line));
        } else {
          entries.push({ key, name: shown, line, raw: value, from: "file" });
        }
      } else if (sections.has(key)) {
        if (value !== null) {
          const text = `${shown} must be a section with keys of its own, not ${kindOf(value)}`;
          findings.push({ key: shown, line, severity: "error", kind: "invalid", text });
        }
      } else {
        findings.push(...unknownFindings(shown, line, value));
      }
    }
  };
  visit(root, "");
  return entries;
}

function emptyFinding(key: string, line: number | null): Finding {
  return { key, line, severity: "info", kind: "understood", text: `${key} has no value: the default holds` };
}

function removedFinding(name: string, key: string, line: number | null): Finding {
  const reason = removed.get(key)?.reason ?? "";
  return { key: name, line, severity: "warning", kind: "removed", text: `${name} has no effect: ${reason}` };
}

function unknownFindings(name: string, line: number | null, value: Raw): Finding[] {
  const key = name.toLowerCase();
  const likely = closestKey(key, isRawMap(value) ? [...sections] : knownNames);
  if (isRawMap(value) && likely === undefined && value.entries.length > 0) {
    // A whole unknown section: each of its keys may be known elsewhere.
    return value.entries.flatMap((entry) => unknownFindings(`${name}.${entry.name}`, entry.line, entry.value));
  }
  const hint = likely === undefined ? hintOfSection(key) : `; did you mean ${likely}?`;
  return [
    { key: name, line, severity: "warning", kind: "unknown", text: `${name} is not a key and has no effect${hint}` },
  ];
}

/** For a key in a section we know: what may stand there. Elsewhere: where a key of this name does. */
function hintOfSection(key: string): string {
  const section = key.slice(0, key.lastIndexOf(".") + 1);
  const neighbours = section === "" ? [] : knownNames.filter((name) => name.startsWith(section));
  if (neighbours.length > 0) {
    return `; ${section.slice(0, -1)} has ${neighbours.map((name) => name.slice(section.length)).join(", ")}`;
  }
  const elsewhere = keyWithSameEnd(key, knownNames);
  return elsewhere === undefined ? "" : `; did you mean ${elsewhere}?`;
}

/** Keys whose reader replaces variables itself. */
const expandsItself = new Set(["oidc.client_secret_path"]);

function expandVariables(entry: Entry, env: Environment, findings: Finding[]): Entry {
  if (expandsItself.has(entry.key)) {
    return entry;
  }
  const seen = new Set<string>();
  const expand = (raw: Raw): Raw => {
    if (typeof raw === "string") {
      return raw.replace(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (whole, name: string) => {
        seen.add(name);
        return env[name] ?? whole;
      });
    }
    if (isRawMap(raw)) {
      return { entries: raw.entries.map((inner) => ({ ...inner, value: expand(inner.value) })) };
    }
    return isRawList(raw) ? raw.map(expand) : raw;
  };
  const raw = expand(entry.raw);
  for (const name of seen) {
    const today = variableOf("HAWSER_", entry.key);
    findings.push({
      key: entry.name,
      line: entry.line,
      severity: "warning",
      kind: env[name] === undefined ? "risky" : "renamed",
      text:
        env[name] === undefined
          ? `${entry.name}: \${${name}} is not set in the environment and stays as written; use the variable ${today}`
          : `${entry.name}: \${${name}} was replaced from the environment; headscale does not do that: use the variable ${today}`,
    });
  }
  return raw === null ? entry : { ...entry, raw };
}

/** The variable that sets a key. */
export function variableOf(prefix: "HAWSER_" | "HEADSCALE_", key: string): string {
  return prefix + key.replaceAll(".", "_").toUpperCase();
}

/** Old keys may have a variable that is today's as well (derp.server.stun.listen_addr): it means the key of today. */
const variables = new Map(
  [...removed.keys(), ...renames.keys(), ...specs.keys()].map((key) => [variableOf("HAWSER_", key), key]),
);

/** Variables with our prefixes that are not keys. */
const otherVariables =
  /^(HAWSER|HEADSCALE)_(CONFIG|DEBUG_.*|ROOT|NODE|TEST_.*|SIM_.*|BENCH_.*|E2E_.*|VERSION|SEED|LOG_COLOR)$/;
/** What Kubernetes and old Docker links put beside a service named hawser or headscale. */
const serviceLinks = /_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT|PORT_\d+_(TCP|UDP)(_.*)?|NAME|ENV_.*)$/;

function readEnvironment(env: Environment, findings: Finding[]): Entry[] {
  const entries: Entry[] = [];
  for (const prefix of ["HEADSCALE_", "HAWSER_"] as const) {
    for (const [variable, text] of Object.entries(env).toSorted(([x], [y]) => (x < y ? -1 : 1))) {
      if (!variable.startsWith(prefix) || text === undefined || text === "") {
        continue;
      }
      const key = variables.get(`HAWSER_${variable.slice(prefix.length)}`);
      if (key === undefined) {
        if (!otherVariables.test(variable) && !serviceLinks.test(variable)) {
          findings.push(unknownVariable(variable, prefix));
        }
      } else if (removed.has(key)) {
        findings.push(removedFinding(variable, key, null));
      } else {
        const raw = (specs.get(key) ?? specs.get(renames.get(key)?.today ?? ""))?.reader.fromEnvironment(text) ?? null;
        if (raw !== null) {
          entries.push({ key, name: variable, line: null, raw, from: "environment" });
        } else if (specs.has(key)) {
          const fault = `${variable} must hold JSON`;
          findings.push({ key: variable, line: null, severity: "error", kind: "invalid", text: fault });
        } else {
          entries.push({ key, name: variable, line: null, raw: text, from: "environment" });
        }
      }
    }
  }
  return entries;
}

function unknownVariable(variable: string, prefix: "HAWSER_" | "HEADSCALE_"): Finding {
  const likely = closestKey(
    variable,
    knownNames.map((key) => variableOf(prefix, key)),
  );
  const hint = likely === undefined ? "" : `; did you mean ${likely}?`;
  const severity = likely === undefined ? "info" : "warning";
  return {
    key: variable,
    line: null,
    severity,
    kind: "unknown",
    text: `${variable} sets no key and has no effect${hint}`,
  };
}
