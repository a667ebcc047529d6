// tagOwners and autoApprovers: lists of users, groups, tags and autogroups.
import { maskPrefix, parsePrefix } from "../ip/index.ts";
import { noteUser, type CheckContext } from "./check-context.ts";
import type { Owners, RouteApprover } from "./policy.ts";
import type { RawList } from "./raw.ts";
import { parseSelector, type NodeSet } from "./selectors.ts";
import type { Located } from "./source.ts";

/** What the entries of a section are called, and the section itself for messages. */
export type OwnerSection =
  | "tagOwners"
  | "autoApprovers.routes"
  | "autoApprovers.exitNode"
  | "autoApprovers.services"
  | "attrConfig";

export function checkOwners(list: RawList, section: OwnerSection, context: CheckContext): Owners {
  const owners = list.items.flatMap(
    (item) => checkOwner({ text: item.text.trim(), at: item.at }, list.name, section, context) ?? [],
  );
  return { name: list.name, at: list.at, owners };
}

function checkOwner(item: Located, name: string, section: OwnerSection, context: CheckContext): NodeSet | undefined {
  const where = section === "autoApprovers.exitNode" ? section : `${section}[${JSON.stringify(name)}]`;
  const parsed = parseSelector(item, context.declared);
  if (parsed.ok && parsed.selector.kind === "nodes") {
    noteUser(parsed.selector, context);
    return parsed.selector.set;
  }
  if (!parsed.ok && item.text.startsWith("tag:")) {
    const undefinedTag = `tag ${JSON.stringify(name)} references undefined tag ${JSON.stringify(item.text)}`;
    context.problems.error(item.at, `${where}: ${parsed.error}`, section === "tagOwners" ? undefinedTag : parsed.hint);
  } else if (!parsed.ok && /^group:|^user:\*@/.test(item.text)) {
    context.problems.error(item.at, `${where}: ${parsed.error}`, parsed.hint);
  } else {
    context.problems.error(
      item.at,
      `${where}: invalid ${section.startsWith("autoApprovers") ? "auto approver" : "owner"} format: ${JSON.stringify(item.text)}`,
      "users (ann@), groups, tags, autogroup:member, autogroup:tagged and the role autogroups may stand here",
    );
  }
  return undefined;
}

export function checkServiceApprovers(lists: readonly RawList[], context: CheckContext): readonly Owners[] {
  return lists.map((list) => {
    if (!/^(?:svc|tag):./.test(list.name)) {
      context.problems.error(
        list.at,
        `autoApprovers.services: invalid service: ${JSON.stringify(list.name)}`,
        "services are named as svc:web, or all of a tag's as tag:web",
      );
    }
    return checkOwners(list, "autoApprovers.services", context);
  });
}

export function checkRouteApprovers(lists: readonly RawList[], context: CheckContext): readonly RouteApprover[] {
  return lists.flatMap((list) => {
    const prefix = parsePrefix(list.name.trim());
    const { owners } = checkOwners(list, "autoApprovers.routes", context);
    if (prefix === undefined) {
      context.problems.error(
        list.at,
        `autoApprovers.routes: invalid prefix: ${JSON.stringify(list.name)}`,
        "write a network with its length, as 10.0.0.0/8",
      );
      return [];
    }
    if (prefix.bits === 0) {
      context.problems.warn(
        list.at,
        `autoApprovers.routes: ${JSON.stringify(list.name)} approves networks and not exit nodes`,
        "exit nodes are approved by exitNode",
      );
    }
    return [{ prefix: maskPrefix(prefix), at: list.at, approvers: owners }];
  });
}
