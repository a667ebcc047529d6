// What a name that means nothing was probably meant to be.
import { nearest } from "./problems.ts";

/** `did you mean "tag:web"?`, else what is said where nothing comes near. */
export function didYouMean(name: string, known: Iterable<string>, otherwise?: string): string | undefined {
  const near = nearest(name, known);
  return near === undefined || near === name ? otherwise : `did you mean ${JSON.stringify(near)}?`;
}

/** A text that is no selector by its beginning and no host either. */
export function hostHint(text: string, hosts: Iterable<string>): string {
  const not = `${JSON.stringify(text)}: invalid address, and no host of that name`;
  if (text === "" || /^[0-9a-fA-F.:/-]*[0-9][0-9.:/-]*$/.test(text)) {
    return /[0-9]-[0-9]/.test(text) ? `${not}; ranges of addresses may stand in ipsets` : not;
  }
  const near = nearest(text, hosts);
  return near === undefined
    ? `${not}; a user is written ${JSON.stringify(`${text}@`)}`
    : `${not}; did you mean ${JSON.stringify(near)}?`;
}

const sections: ReadonlyMap<string, string> = new Map([
  ["autogroup", "an autogroup stands in rules, not in a group"],
  ["tag", "a tag stands in rules, not in a group"],
]);

/** A member of a group that names no user. */
export function memberHint(text: string): string | undefined {
  const kind = /^([a-z]+):/.exec(text)?.[1];
  if (kind !== undefined) {
    return sections.get(kind);
  }
  return /^[^\s*]+$/.test(text) ? `a user is written ${JSON.stringify(`${text}@`)}` : "members of a group are users";
}
