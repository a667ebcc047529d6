// The form of tags (headscale §2.5); whether a tag exists and who may apply it is policy's answer.
import type { CommandError } from "./contract.ts";

const maxTags = 256;
const maxTagLength = 256;

/** What is wrong with a tag's form, in headscale's words; undefined when nothing is. */
export function tagFault(tag: string): string | undefined {
  if (!tag.startsWith("tag:")) {
    return "tag must start with the string 'tag:'";
  }
  if (tag.toLowerCase() !== tag) {
    return "tag should be lowercase";
  }
  if (/\s/.test(tag)) {
    return "tags must not contain spaces";
  }
  if (tag.length <= "tag:".length || tag.length > maxTagLength) {
    return "tag name must not be empty or too long";
  }
  return undefined;
}

export function sortedTags(tags: readonly string[]): readonly string[] {
  return [...new Set(tags)].sort();
}

/** Sorted and deduplicated, or what is wrong with them. */
export function checkTags(
  tags: readonly string[],
): { readonly ok: true; readonly tags: readonly string[] } | { readonly ok: false; readonly error: CommandError } {
  if (tags.length > maxTags) {
    return { ok: false, error: { code: "invalid", text: `more than ${maxTags} tags` } };
  }
  for (const tag of tags) {
    const fault = tagFault(tag);
    if (fault !== undefined) {
      return { ok: false, error: { code: "invalid", text: fault } };
    }
  }
  return { ok: true, tags: sortedTags(tags) };
}

export function tagsNotPermitted(tags: readonly string[]): CommandError {
  return { code: "invalid", text: `requested tags [${tags.join(" ")}] are invalid or not permitted` };
}
