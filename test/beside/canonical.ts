// What two servers must differ in, taken out of their answers: secrets and ids of waiting machines become numbers in the
// order of their appearance, times become how far they are from now, a side's address and folder become words.
import { isRecord } from "./json.ts";
import type { Side } from "./servers.ts";

export type Canonical = (value: unknown) => unknown;

const tenMinutes = 600_000;
/** Times further away than this are somebody's choice, and compared as they are. */
const farAway = 400 * 86_400_000;

function distance(ms: number): string {
  const steps = Math.round((ms - Date.now()) / tenMinutes);
  return steps === 0 ? "<now>" : `<now${steps > 0 ? "+" : "-"}${Math.abs(steps) * 10}min>`;
}

function isNear(ms: number): boolean {
  return Math.abs(ms - Date.now()) < farAway;
}

const rfc3339 = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g;
const tableTime = /\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b/g;
const yamlTime = /(\bseconds: )(\d{9,11})\n(\s+)nanos: \d+/g;

export function createCanonical(side: Pick<Side, "url" | "folder">): Canonical {
  const numbers = new Map<string, number>();
  const numberOf = (secret: string): number => {
    const known = numbers.get(secret) ?? numbers.size + 1;
    numbers.set(secret, known);
    return known;
  };

  function text(given: string): string {
    return given
      .replaceAll(/hskey-(auth|api)-([\w-]{12})-(?:[\w-]{64}|\*\*\*)/g, (all, kind: string, prefix: string) => {
        return `hskey-${kind}-<${numberOf(prefix)}>${all.endsWith("***") ? "-***" : "-secret"}`;
      })
      .replaceAll(/hskey-authreq-[\w-]{24}/g, (id) => `hskey-authreq-<${numberOf(id)}>`)
      .replaceAll(/(privkey|mkey|nodekey):(?!0{64})[0-9a-f]{64}/g, (key, kind: string) => `${kind}:<${numberOf(key)}>`)
      .replaceAll(rfc3339, (time) => (isNear(Date.parse(time)) ? distance(Date.parse(time)) : time))
      .replaceAll(tableTime, (time) => {
        const ms = Date.parse(`${time.replace(" ", "T")}Z`);
        return isNear(ms) ? distance(ms) : time;
      })
      .replaceAll(yamlTime, (all, lead: string, seconds: string, indent: string) =>
        isNear(Number(seconds) * 1000) ? `${lead}${distance(Number(seconds) * 1000)}\n${indent}nanos: <any>` : all,
      )
      .replaceAll(side.url.host, "<host>")
      .replaceAll(/connecting to 127\.0\.0\.1:\d+/g, "connecting to <host>")
      .replaceAll(side.folder, "<folder>");
  }

  function canonical(value: unknown): unknown {
    if (typeof value === "string") {
      return text(value);
    }
    if (Array.isArray(value)) {
      return value.map(canonical);
    }
    if (!isRecord(value)) {
      return value;
    }
    // The command line's form of a time.
    const { seconds } = value;
    if (typeof seconds === "number" && Object.keys(value).every((key) => key === "seconds" || key === "nanos")) {
      return isNear(seconds * 1000) ? distance(seconds * 1000) : value;
    }
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, canonical(item)]));
  }
  return canonical;
}
