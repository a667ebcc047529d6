// RFC 3339 times as the protocol carries them (protocol §0): in, any offset and any fraction; out, UTC ending in Z.
// Inside, a time is a number of milliseconds since 1970. Go's zero time, year 1, means "none".
import type { TimeText } from "./tailcfg.ts";

/** How Go writes the time that is none. */
export const zeroTimeText: TimeText = "0001-01-01T00:00:00Z";

/** The same in milliseconds since 1970. */
const zeroTime = -62_135_596_800_000;

const pattern = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/** Milliseconds since 1970 (fractions of a millisecond are cut off), or undefined when the text is no such time. */
export function parseTime(text: string): number | undefined {
  if (text === zeroTimeText) {
    // What nearly every request says.
    return zeroTime;
  }
  const match = pattern.exec(text);
  if (match === null) {
    return undefined;
  }
  const part = (index: number): number => Number(match[index] ?? 0);
  const [year, month, day, hour, minute, second] = [part(1), part(2), part(3), part(4), part(5), part(6)];
  const [offsetHours, offsetMinutes] = [part(9), part(10)];
  if (hour > 23 || minute > 59 || second > 59 || offsetHours > 23 || offsetMinutes > 59) {
    return undefined;
  }
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) {
    return undefined; // The 31st of June.
  }
  const milliseconds = Number((match[7] ?? "").padEnd(3, "0").slice(0, 3));
  const offset = (match[8] === "-" ? -1 : 1) * (offsetHours * 60 + offsetMinutes) * 60_000;
  return date.getTime() + ((hour * 60 + minute) * 60 + second) * 1000 + milliseconds - offset;
}

/** Whether a parsed time is Go's zero time. */
export function isZeroTime(time: number): boolean {
  return time === zeroTime;
}

/** RFC 3339 in UTC, with milliseconds only when there are any: Go writes no empty fraction either. */
export function formatTime(time: number): TimeText {
  return new Date(time).toISOString().replace(".000Z", "Z");
}
