// Names of tags: `tag:`, an ASCII letter, then letters, digits and hyphens (protocol §11.1).
import type { UserRole } from "./engine.ts";

const tagName = /^tag:[a-zA-Z][a-zA-Z0-9-]*$/;
const tagStart = /^tag:[a-zA-Z]/;

/** Longer ones would not fit where clients show them; tags come from clients too. */
const maxTagName = 255;

export function isTagName(text: string): boolean {
  return text.length <= maxTagName && tagName.test(text);
}

/** The weaker test that Tailscale applies to keys of tagOwners. */
export function startsLikeTag(text: string): boolean {
  return tagStart.test(text);
}

/** Owners, admins and network admins may apply every tag there is, whoever owns it. */
export function maySetAnyTag(role: UserRole | undefined): boolean {
  return role === "owner" || role === "admin" || role === "network-admin";
}
