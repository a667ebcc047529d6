// Texts of the wire that several messages share: times, and prefixes whose text is asked for again and again.
import { formatPrefix, type Prefix } from "../ip/index.ts";
import type { PrefixText, TimeText } from "../wire/tailcfg.ts";

/** 9999-12-31: later years have five digits, which RFC 3339 does not know and clients refuse. */
const latest = 253_402_214_400_000;

/** RFC 3339 in UTC, whole seconds, rounded down. Anything before 1970 is 1970: a wrong stored time must not break a map. */
export function timeText(ms: number): TimeText {
  const bounded = Number.isFinite(ms) ? Math.min(Math.max(ms, 0), latest) : latest;
  return `${new Date(bounded).toISOString().slice(0, 19)}Z`;
}

/** What clients read as "never" (protocol §0). */
export const zeroTime: TimeText = "0001-01-01T00:00:00Z";

const texts = new WeakMap<Prefix, PrefixText>();

/** Prefixes of records are immutable and live long, so their texts are kept. */
export function prefixText(prefix: Prefix): PrefixText {
  let text = texts.get(prefix);
  if (text === undefined) {
    text = formatPrefix(prefix);
    texts.set(prefix, text);
  }
  return text;
}
