// The server's log: pino, as text for people or JSON for machines. Lines of one turn of the event loop leave in one
// write; those that tell of a fault, and what is left when the process ends, at once: the last line before a crash is
// there. Secrets are not given to it in the first place; what looks like one is blotted out all the same.
import { writeSync } from "node:fs";
import pino from "pino";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: "text" | "json";
  /** Takes one line with its newline; standard error by default. */
  readonly write?: (line: string, urgent: boolean) => void;
}

export type Fields = Readonly<Record<string, unknown>>;

export interface Logger {
  /** Of this logger, the one it came from, and all others that came from that. May be changed while the server runs. */
  level: LogLevel;
  debug(fields: Fields, text: string): void;
  info(fields: Fields, text: string): void;
  warn(fields: Fields, text: string): void;
  error(fields: Fields, text: string): void;
  /** Lines of one room carry its name. */
  child(room: string): Logger;
}

/** Shapes of credentials: what can be used is blotted out, the public part that finds the entry stays. */
const secretShapes: readonly (readonly [RegExp, string])[] = [
  [/\b(hskey-(?:auth|api)-[A-Za-z0-9_-]{12})-[A-Za-z0-9_-]{16,}/g, "$1-***"],
  [/\b(hskey-authreq-[A-Za-z0-9_-]{4})[A-Za-z0-9_-]{20}/g, "$1***"],
  [/\b(tskey-[a-z]+-[A-Za-z0-9]+)-[A-Za-z0-9]{16,}/g, "$1-***"],
  [/\b(privkey|nlpriv):[0-9a-f]{64,128}/gi, "$1:***"],
  [/\b(bearer) [A-Za-z0-9._~+/=-]{16,}/gi, "$1 ***"],
];
const secretFields: ReadonlySet<string> = new Set([
  "password",
  "pass",
  "secret",
  "authorization",
  "cookie",
  "apiKey",
  "authKey",
  "clientSecret",
]);
/** Fields deeper than this are not looked at; none of ours are. */
const maxFieldDepth = 4;

/** The same fields when none of them has the name of a secret, so that an ordinary line costs nothing. */
function withoutSecrets(fields: Fields, depth = 0): Fields {
  let clean: Record<string, unknown> | undefined;
  for (const [name, value] of Object.entries(fields)) {
    let shown = value;
    if (secretFields.has(name)) {
      shown = "***";
    } else if (isFields(value) && depth < maxFieldDepth) {
      shown = withoutSecrets(value, depth + 1);
    }
    if (shown !== value) {
      clean ??= { ...fields };
      clean[name] = shown;
    }
  }
  return clean ?? fields;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What all of them have in common. */
const perhapsSecret = /hskey-|tskey-|privkey:|nlpriv:|bearer /i;

export function blotSecrets(line: string): string {
  if (!perhapsSecret.test(line)) {
    return line;
  }
  return secretShapes.reduce((text, [shape, replacement]) => text.replace(shape, replacement), line);
}

export function createLogger({ level, format, write }: LoggerOptions): Logger {
  const say = write ?? standardError();
  const destination = {
    write(line: string): void {
      say(blotSecrets(format === "json" ? line : textLine(line)), urgent.test(line));
    },
  };
  const direct =
    format === "text"
      ? (line: string, isUrgent: boolean): void => {
          say(blotSecrets(line), isUrgent);
        }
      : undefined;
  const root = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
  return wrap(root, [root], direct, undefined);
}

/** A line of pino's that cannot wait for the end of the turn. */
const urgent = /^\{"level":"(?:error|fatal)"/;
/** More than this is not held back, characters. */
const gatherAtMost = 65_536;

let held = "";
let guarded = false;

function writeHeld(): void {
  const text = held;
  held = "";
  if (text === "") {
    return;
  }
  try {
    writeSync(2, text);
  } catch {
    // A full or closed pipe must not end the server.
  }
}

/** All loggers of the process share what is held, so that lines stay in order. */
function standardError(): (line: string, urgent: boolean) => void {
  if (!guarded) {
    guarded = true;
    process.on("exit", writeHeld);
  }
  return (line, now) => {
    if (held === "") {
      setImmediate(writeHeld);
    }
    held += line;
    if (now || held.length > gatherAtMost) {
      writeHeld();
    }
  };
}

/**
 * `family`: all loggers of one root; a room has one, so there are few. `direct` takes lines of people's format that have
 * nothing to be escaped, which nearly all are: they need not become JSON first.
 */
function wrap(
  logger: pino.Logger,
  family: pino.Logger[],
  direct: ((line: string, isUrgent: boolean) => void) | undefined,
  room: string | undefined,
): Logger {
  /** A line that is not told is not looked through either. */
  const at =
    (level: "debug" | "info" | "warn" | "error") =>
    (fields: Fields, text: string): void => {
      if (!logger.isLevelEnabled(level)) {
        return;
      }
      const line = direct === undefined ? undefined : plainLine(level, room, fields, text);
      if (line === undefined) {
        logger[level](withoutSecrets(fields), text);
      } else {
        direct?.(line, level === "error");
      }
    };
  return {
    get level() {
      return logger.level as LogLevel;
    },
    set level(level) {
      for (const member of family) {
        member.level = level;
      }
    },
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child(name) {
      const member = logger.child({ room: name });
      family.push(member);
      return wrap(member, family, direct, name);
    },
  };
}

/** Of a line that pino made, these are not fields; and secrets' names are for `withoutSecrets`. */
const special: ReadonlySet<string> = new Set(["level", "time", "msg", "room", "err", ...secretFields]);
// eslint-disable-next-line no-control-regex -- control characters are what must not get through
const controlCharacters = /[\u0000-\u001f\u007f-\u009f]/g;

function isPlain(value: unknown): value is string | number | boolean {
  return typeof value === "string" || typeof value === "boolean" || Number.isFinite(value);
}

/** The line that `textLine` would make; undefined when it takes more than putting texts and numbers together. */
function plainLine(level: string, room: string | undefined, fields: Fields, text: string): string | undefined {
  let line = lineStart(new Date().toISOString(), level, room, text);
  let between = "  ";
  for (const name in fields) {
    const value = fields[name];
    if (special.has(name) || !Object.hasOwn(fields, name)) {
      return undefined;
    }
    if (value === undefined) {
      continue;
    }
    if (!isPlain(value)) {
      return undefined;
    }
    line += `${between}${name}=${value}`;
    between = " ";
  }
  return line.search(controlCharacters) === -1 ? `${line}\n` : undefined;
}

/** `2026-11-20 19:30:00 INFO  control: node joined` */
function lineStart(time: string, level: string, room: string | undefined, text: string): string {
  const where = room === undefined ? "" : `${room}: `;
  return `${time.slice(0, 19).replace("T", " ")} ${level.toUpperCase().padEnd(5)} ${where}${text}`;
}

/** `2026-11-20 19:30:00 INFO  control: node joined  node=3 name=laptop` */
function textLine(json: string): string {
  const { level, time, msg, room, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const shown = Object.entries(fields).map(([name, value]) => `${name}=${fieldText(value)}`);
  const where = room === undefined ? undefined : fieldText(room);
  const tail = shown.length === 0 ? "" : `  ${shown.join(" ")}`;
  return `${lineStart(fieldText(time), fieldText(level), where, fieldText(msg))}${tail}\n`;
}

/** One line stays one line, whatever a client called itself. */
function fieldText(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.replace(controlCharacters, (character) =>
    character === "\n" ? "\\n" : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
