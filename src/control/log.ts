// What this room asks of a logger. One line per decision, with its reason; no secrets in the fields.

type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  debug(fields: Fields, text: string): void;
  info(fields: Fields, text: string): void;
  warn(fields: Fields, text: string): void;
  error(fields: Fields, text: string): void;
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** What was thrown, with where it came from. */
export function faultText(fault: unknown): string {
  return fault instanceof Error ? (fault.stack ?? fault.message) : String(fault);
}

/** The first characters of a key: enough to recognise it in a log, of no use to anybody else. */
export function shortKey(key: string): string {
  return key.slice(0, key.indexOf(":") + 9);
}
