// The server's log: pino, written at once so that the last line before a crash is there, as text for people or JSON for
// machines. Secrets are not given to it in the first place; what looks like one is blotted out all the same.
import { writeSync } from "node:fs";
import pino from "pino";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: "text" | "json";
  /** Takes one line with its newline; standard error by default. */
  readonly write?: (line: string) => void;
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
const secretFields = ["password", "pass", "secret", "authorization", "cookie", "apiKey", "authKey", "clientSecret"];

export function blotSecrets(line: string): string {
  return secretShapes.reduce((text, [shape, replacement]) => text.replace(shape, replacement), line);
}

export function createLogger({ level, format, write = toStandardError }: LoggerOptions): Logger {
  const destination = {
    write(line: string): void {
      write(blotSecrets(format === "json" ? line : textLine(line)));
    },
  };
  const root = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: [...secretFields, ...secretFields.map((name) => `*.${name}`)], censor: "***" },
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
  return wrap(root, [root]);
}

function toStandardError(line: string): void {
  try {
    writeSync(2, line);
  } catch {
    // A full or closed pipe must not end the server.
  }
}

/** `family`: all loggers of one root; a room has one, so there are few. */
function wrap(logger: pino.Logger, family: pino.Logger[]): Logger {
  return {
    get level() {
      return logger.level as LogLevel;
    },
    set level(level) {
      for (const member of family) {
        member.level = level;
      }
    },
    debug: (fields, text) => logger.debug(fields, text),
    info: (fields, text) => logger.info(fields, text),
    warn: (fields, text) => logger.warn(fields, text),
    error: (fields, text) => logger.error(fields, text),
    child(room) {
      const member = logger.child({ room });
      family.push(member);
      return wrap(member, family);
    },
  };
}

/** `2026-11-20 19:30:00 INFO  control: node joined  node=3 name=laptop` */
function textLine(json: string): string {
  const { level, time, msg, room, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const shown = Object.entries(fields).map(([name, value]) => `${name}=${fieldText(value)}`);
  const where = room === undefined ? "" : `${fieldText(room)}: `;
  const tail = shown.length === 0 ? "" : `  ${shown.join(" ")}`;
  return `${fieldText(time).slice(0, 19).replace("T", " ")} ${fieldText(level).toUpperCase().padEnd(5)} ${where}${fieldText(msg)}${tail}\n`;
}

/** One line stays one line, whatever a client called itself. */
function fieldText(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  // eslint-disable-next-line no-control-regex -- control characters are what must not get through
  const safe = text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) =>
    character === "\n" ? "\\n" : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return safe;
}
