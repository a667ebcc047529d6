// RFC 3339 timestamps as protobuf's JSON writes them: UTC, with no fraction or with three digits of it.

/** Year 1, Go's time before all times: shown where nothing was ever noted, and sent to say that no time is given. */
export const neverNoted = -62_135_596_800_000;

/** A time that was asked for; null when none was. */
export function givenTime(time: number | null): number | null {
  return time !== null && time < neverNoted + msPerDay ? null : time;
}

const pattern = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/;

/** The form that nearly all have; days above 28 depend on the month. */
const usual = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{3})?Z$/;

const msPerDay = 86_400_000;
/** `2026-01-02T` of the day that was last asked for: the times of a list are often of few days. */
let lastDay = Number.NaN;
let lastDayText = "";

export function timestampText(time: number): string {
  // As Date has it: a fraction is cut towards zero.
  const ms = Math.trunc(time);
  const day = Math.floor(ms / msPerDay);
  if (day !== lastDay) {
    const text = new Date(ms).toISOString();
    lastDayText = text.slice(0, text.indexOf("T") + 1);
    lastDay = day;
  }
  const rest = ms - day * msPerDay;
  const seconds = Math.floor(rest / 1000);
  const fraction = rest % 1000;
  const clock = `${twoDigits(Math.floor(seconds / 3600))}:${twoDigits(Math.floor(seconds / 60) % 60)}:${twoDigits(seconds % 60)}`;
  return fraction === 0 ? `${lastDayText}${clock}Z` : `${lastDayText}${clock}.${String(fraction).padStart(3, "0")}Z`;
}

const pairs = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, "0"));

function twoDigits(number: number): string {
  return pairs[number] ?? "";
}

/** As `lastDay`, of texts that were read. */
let readDay = Number.NaN;
let readDayText = " ";

/** Milliseconds since 1970; finer digits are cut. Undefined when the text is not RFC 3339 or names no such time. */
export function parseTimestamp(text: string): number | undefined {
  if (text.startsWith(readDayText)) {
    const ms = sinceMidnight(text);
    if (ms !== -1) {
      return readDay + ms;
    }
  }
  if (usual.test(text)) {
    const ms = Date.parse(text);
    readDay = Math.floor(ms / msPerDay) * msPerDay;
    readDayText = text.slice(0, dayLength);
    return ms;
  }
  const match = pattern.exec(text);
  if (match === null) {
    return undefined;
  }
  const [, year, month, day, hour, minute, second, fraction = "", sign, offsetHour = "0", offsetMinute = "0"] = match;
  const ms = Number(fraction.padEnd(3, "0").slice(0, 3));
  const local = new Date(0);
  local.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  local.setUTCHours(Number(hour), Number(minute), Number(second), ms);
  const roundTrip =
    local.getUTCMonth() === Number(month) - 1 &&
    local.getUTCDate() === Number(day) &&
    local.getUTCHours() === Number(hour) &&
    local.getUTCMinutes() === Number(minute) &&
    local.getUTCSeconds() === Number(second);
  if (!roundTrip || Number(offsetHour) > 23 || Number(offsetMinute) > 59) {
    return undefined;
  }
  const offset = (Number(offsetHour) * 60 + Number(offsetMinute)) * 60_000;
  return local.getTime() - (sign === "-" ? -offset : offset);
}

/** `2026-01-02T` */
const dayLength = 11;

/** Milliseconds of `03:04:05Z` or `03:04:05.678Z` behind the day; -1 for all other forms. */
function sinceMidnight(text: string): number {
  const { length } = text;
  const clockEnd = dayLength + 8;
  const hasFraction = length === clockEnd + 5 && text[clockEnd] === ".";
  if ((length !== clockEnd + 1 && !hasFraction) || text[length - 1] !== "Z" || text[13] !== ":" || text[16] !== ":") {
    return -1;
  }
  const [hour, minute, second] = [twoDigitsAt(text, 11), twoDigitsAt(text, 14), twoDigitsAt(text, 17)];
  const fraction = hasFraction ? twoDigitsAt(text, 20) * 10 + digitAt(text, 22) : 0;
  const isTime = hour < 24 && minute < 60 && second < 60 && fraction < 1000;
  return isTime ? ((hour * 60 + minute) * 60 + second) * 1000 + fraction : -1;
}

function twoDigitsAt(text: string, index: number): number {
  return digitAt(text, index) * 10 + digitAt(text, index + 1);
}

/** More than any number may be here, when it is none. */
function digitAt(text: string, index: number): number {
  const digit = text.charCodeAt(index) - 48;
  return digit >= 0 && digit <= 9 ? digit : 1000;
}
