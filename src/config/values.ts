// How the values of keys are read: one reader for each kind of value. Readers are lenient where Go's viper is (a
// text for a list, "1" for true) and say what is wrong otherwise.
import { homedir } from "node:os";
import { isAbsolute, resolve } from "node:path";
import type { Prefix } from "../ip/index.ts";
import { isExitRoute, maskPrefix, parsePrefix } from "../ip/index.ts";
import type { ExtraRecord, ListenAddress } from "./config.ts";
import { formatGoDuration, parseGoDuration, parsePrometheusDuration } from "./duration.ts";
import type { Raw } from "./raw.ts";
import { isRawList, isRawMap, kindOf, rawFromJson } from "./raw.ts";

export interface ReadContext {
  /** The dotted key, for messages. */
  readonly key: string;
  /** What relative paths are joined to where the key says so; the working directory without a file. */
  readonly configDir: string;
  readonly workingDir: string;
}

export type Read<T> =
  | { readonly ok: true; readonly value: T; readonly warning?: string }
  | { readonly ok: false; readonly fault: string };

export interface Reader<T> {
  /** For the documentation. */
  readonly type: string;
  read(raw: Exclude<Raw, null>, context: ReadContext): Read<T>;
  /** The tree that an environment variable's text stands for; undefined: it is not well-formed. */
  fromEnvironment(text: string): Raw | undefined;
  /** The value as one would write it. */
  show(value: T): string;
}

function good<T>(value: T, warning?: string): Read<T> {
  return warning === undefined ? { ok: true, value } : { ok: true, value, warning };
}

function bad<T>(fault: string): Read<T> {
  return { ok: false, fault };
}

/** A reader of one plain value. */
function plain<T>(
  type: string,
  parse: (text: string, context: ReadContext) => Read<T>,
  show: (value: T) => string,
): Reader<T> {
  return {
    type,
    read: (raw, context) =>
      typeof raw === "string" ? parse(raw, context) : bad(`${context.key} must be ${type}, not ${kindOf(raw)}`),
    fromEnvironment: (text) => text,
    show,
  };
}

export const text: Reader<string> = plain(
  "text",
  (text) => good(text),
  (value) => value,
);

/** As Go's ParseBool, and YAML 1.1's words with a warning. */
export const bool: Reader<boolean> = plain(
  "true or false",
  (text, { key }) => {
    if (["1", "t", "T", "TRUE", "true", "True"].includes(text)) {
      return good(true);
    }
    if (["0", "f", "F", "FALSE", "false", "False"].includes(text)) {
      return good(false);
    }
    const word = text.toLowerCase();
    if (["yes", "on", "no", "off"].includes(word)) {
      const value = word === "yes" || word === "on";
      return good(value, `${key}: write ${value} instead of ${text} (headscale reads ${text} as false)`);
    }
    return bad(`${key} must be true or false, not "${text}"`);
  },
  String,
);

export function int(min: number, max: number): Reader<number> {
  return plain(
    "number",
    (text, { key }) => {
      const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
      return value >= min && value <= max
        ? good(value)
        : bad(`${key} must be a whole number from ${min} to ${max}, not "${text}"`);
    },
    String,
  );
}

export const duration: Reader<number> = plain(
  "duration",
  (text, { key }) => {
    const value = parseGoDuration(text);
    return value === undefined
      ? bad(`${key}: "${text}" is not a duration: write a number with its unit, like 800ms, 30m or 3h`)
      : good(value);
  },
  shortDuration,
);

/** Without the zeros at the end: "3h", not "3h0m0s". */
function shortDuration(milliseconds: number): string {
  return formatGoDuration(milliseconds)
    .replace(/(?<=m)0s$/, "")
    .replace(/(?<=h)0m$/, "");
}

/** Days, weeks and years too. Unreadable is "never", as in headscale, said loudly. */
export const keyLife: Reader<number> = plain(
  "duration, days too",
  (text, { key }) => {
    const value = text === "" ? 0 : parsePrometheusDuration(text);
    return value === undefined
      ? good(0, `${key}: "${text}" is not a duration (write like 180d or 1y): keys never expire`)
      : good(value);
  },
  (value) => (value === 0 ? "0" : formatGoDuration(value)),
);

/** How long something is kept; days, weeks and years too. */
export const retention: Reader<number> = plain(
  "duration, days too",
  (text, { key }) => {
    const value = text === "" ? undefined : parsePrometheusDuration(text);
    return value === undefined
      ? bad(`${key}: "${text}" is not a duration: write like 400d or 2y; 0 keeps everything`)
      : good(value);
  },
  (value) => (value % day === 0 && value > 0 ? `${value / day}d` : value === 0 ? "0" : formatGoDuration(value)),
);

const day = 86_400_000;

export function oneOf<const T extends string>(
  values: readonly T[],
  fault?: (text: string, key: string) => string,
): Reader<T> {
  return plain(
    values.join(" or "),
    (text, { key }) => {
      const value = values.find((value) => value === text);
      return value === undefined
        ? bad(fault?.(text, key) ?? `${key} must be ${values.join(" or ")}, not "${text}"`)
        : good(value);
    },
    String,
  );
}

const portNames: Readonly<Record<string, number>> = { http: 80, https: 443 };

/** Reads `host:port`, `:port` or `[v6]:port`; the port may be http or https. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.%]*)\]|([^:[\]]*)):([0-9a-z]+)$/.exec(text.trim());
  if (match === null) {
    return undefined;
  }
  const port = portNames[match[3] ?? ""] ?? (/^\d{1,5}$/.test(match[3] ?? "") ? Number(match[3]) : -1);
  return port >= 0 && port <= 65535 ? { host: match[1] ?? match[2] ?? "", port } : undefined;
}

export function formatListenAddress({ host, port }: ListenAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Empty is null: no listener. */
export const listen: Reader<ListenAddress | null> = plain(
  "host:port",
  (text, { key }) => {
    const value = text === "" ? null : parseListenAddress(text);
    return value === undefined ? bad(`${key} must be host:port, not "${text}"`) : good(value);
  },
  (value) => (value === null ? "" : formatListenAddress(value)),
);

function absolute(path: string, base: string): string {
  if (path === "" || path === ":memory:" || isAbsolute(path)) {
    return path;
  }
  return path.startsWith("~/") ? resolve(homedir(), path.slice(2)) : resolve(base, path);
}

/** A path that is relative to the folder of the configuration file. */
export const path: Reader<string> = plain("path", (text, { configDir }) => good(absolute(text, configDir)), String);

/** A path that is relative to the working directory. */
export const workingPath: Reader<string> = plain(
  "path",
  (text, { workingDir }) => good(absolute(text, workingDir)),
  String,
);

/** An octal file mode, with or without 0 or 0o before it. Unreadable is 0700, as in headscale, said loudly. */
export const fileMode: Reader<number> = plain(
  "octal file mode",
  (text, { key }) =>
    /^(0o)?[0-7]{1,4}$/.test(text)
      ? good(Number.parseInt(text.replace(/^0o/, ""), 8))
      : good(0o700, `${key}: "${text}" is not an octal file mode such as 0770: using 0700`),
  (value) => (value > 0o777 ? value.toString(8) : `0${value.toString(8)}`),
);

const sslModes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/** false, true or one of libpq's sslmodes. */
export const sslMode: Reader<string> = plain(
  "true, false or an sslmode",
  (text, { key }) => {
    // As Go reads a truth value.
    if (/^(?:|false|f|0)$/i.test(text)) {
      return good("disable");
    }
    if (/^(?:true|t|1)$/i.test(text)) {
      return good("");
    }
    return sslModes.includes(text)
      ? good(text)
      : bad(`${key} must be true, false or one of ${sslModes.join(", ")}, not "${text}"`);
  },
  (value) => (value === "disable" ? "false" : value === "" ? "true" : value),
);

/** One IP prefix, host bits cleared; empty is null. */
export const prefix: Reader<Prefix | null> = plain(
  "prefix",
  (text, { key }) => {
    const value = text === "" ? null : parsePrefix(text);
    return value === undefined
      ? bad(`${key}: "${text}" is not an IP prefix such as 100.64.0.0/10`)
      : good(value && maskPrefix(value));
  },
  () => "",
);

function words(raw: Exclude<Raw, null>): readonly string[] | undefined {
  if (typeof raw === "string") {
    return raw.split(/\s+/).filter((word) => word !== "");
  }
  return isRawList(raw) && raw.every((item) => typeof item === "string") ? raw : undefined;
}

/** A list of texts; one text is split at white space, as an environment variable is. */
export const textList: Reader<readonly string[]> = {
  type: "list",
  read(raw, { key }) {
    const list = words(raw);
    return list === undefined ? bad(`${key} must be a list of texts`) : good(list);
  },
  fromEnvironment: (text) => text.split(/\s+/).filter((word) => word !== ""),
  show: (value) => `[${value.join(", ")}]`,
};

/** As a list of texts, each a path relative to the working directory. */
export const workingPathList: Reader<readonly string[]> = {
  ...textList,
  type: "list of paths",
  read(raw, context) {
    const list = textList.read(raw, context);
    return list.ok ? good(list.value.map((path) => absolute(path, context.workingDir))) : list;
  },
};

/** URLs; those that are none are left out with a warning. */
export const urlList: Reader<readonly string[]> = {
  ...textList,
  type: "list of URLs",
  read(raw, context) {
    const list = textList.read(raw, context);
    if (!list.ok) {
      return list;
    }
    const wrong = list.value.filter((url) => !/^https?:\/\//i.test(url) || !URL.canParse(url));
    return good(
      list.value.filter((url) => !wrong.includes(url)),
      wrong.length === 0 ? undefined : `${context.key}: left out, as not an http or https URL: ${wrong.join(", ")}`,
    );
  },
};

/** Prefixes whose peers are trusted: bare addresses and whole families are refused. */
export const proxyList: Reader<readonly Prefix[]> = {
  type: "list of prefixes",
  read(raw, { key }) {
    const list = words(raw);
    if (list === undefined) {
      return bad(`${key} must be a list of IP prefixes`);
    }
    const faults: string[] = [];
    const prefixes = list.flatMap((text, index) => {
      const value = parsePrefix(text);
      if (value === undefined) {
        faults.push(`${key}[${index}] "${text}": not an IP prefix; write a single address like 192.0.2.1/32`);
        return [];
      }
      if (isExitRoute(value)) {
        faults.push(`${key}[${index}] "${text}": 0.0.0.0/0 and ::/0 are not allowed`);
      }
      return [maskPrefix(value)];
    });
    return faults.length === 0 ? good(prefixes) : bad(faults.join("; "));
  },
  fromEnvironment: (text) => textList.fromEnvironment(text),
  show: () => "[]",
};

function fromJsonText(text: string): Raw | undefined {
  try {
    return rawFromJson(JSON.parse(text));
  } catch {
    return undefined;
  }
}

export const textMap: Reader<Readonly<Record<string, string>>> = {
  type: "map of texts",
  read(raw, { key }) {
    if (!isRawMap(raw)) {
      return bad(`${key} must be a map of names and texts, not ${kindOf(raw)}`);
    }
    const wrong = raw.entries.find(({ value }) => value !== null && typeof value !== "string");
    return wrong === undefined
      ? good(Object.fromEntries(raw.entries.map(({ name, value }) => [name, typeof value === "string" ? value : ""])))
      : bad(`${key}.${wrong.name} must be a text, not ${kindOf(wrong.value)}`);
  },
  fromEnvironment: fromJsonText,
  show: () => "{}",
};

/** Domains with a list of nameservers each. Domains arrive in lower case. */
export const splitDns: Reader<Readonly<Record<string, readonly string[]>>> = {
  type: "map of lists",
  read(raw, { key }) {
    if (!isRawMap(raw)) {
      return bad(`${key} must be a map of domains and lists of nameservers, not ${kindOf(raw)}`);
    }
    const domains: [string, readonly string[]][] = [];
    for (const { name, value } of raw.entries) {
      const list = value === null ? [] : words(value);
      if (list === undefined) {
        return bad(`${key}.${name} must be a list of nameservers`);
      }
      domains.push([name.toLowerCase(), list]);
    }
    return good(Object.fromEntries(domains));
  },
  fromEnvironment: fromJsonText,
  show: () => "{}",
};

/** Records of name, type and value; names of fields in any case. */
export const records: Reader<readonly ExtraRecord[]> = {
  type: "list of {name, type, value}",
  read(raw, { key }) {
    if (!isRawList(raw)) {
      return bad(`${key} must be a list of records, not ${kindOf(raw)}`);
    }
    const list: ExtraRecord[] = [];
    for (const [index, item] of raw.entries()) {
      const record = isRawMap(item) ? recordOf(item.entries.map(({ name, value }) => [name, value])) : undefined;
      if (record === undefined) {
        return bad(`${key}[${index}] must be a record with name, type and value`);
      }
      list.push(record);
    }
    return good(list);
  },
  fromEnvironment: fromJsonText,
  show: () => "[]",
};

/** The record that these fields make; undefined without a name or a value. */
export function recordOf(fields: readonly (readonly [string, unknown])[]): ExtraRecord | undefined {
  const field = (name: string): string => {
    const value = fields.find(([key]) => key.toLowerCase() === name)?.[1];
    return typeof value === "string" ? value : "";
  };
  const [name, value] = [field("name"), field("value")];
  return name === "" || value === "" ? undefined : { name, type: field("type"), value };
}
