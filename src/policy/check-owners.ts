// tagOwners and autoApprovers: lists of users, groups, tags and autogroups.
import { maskPrefix, parsePrefix } from "../ip/index.ts";
import { noteUser, type CheckContext } from "./check-context.ts";
import type { Owners, RouteApprover } from "./policy.ts";
import type { RawList } from "./raw.ts";
import { parseSelector, type NodeSet } from "./selectors.ts";
import type { Located } from "./source.ts";

/** `what` is the section for messages. */
export function checkOwners(list: RawList, what: string, context: CheckContext): Owners {
  const owners = list.items.flatMap((item) => {
    const owner = checkOwner({ text: item.text.trim(), at: item.at }, `${what}[${JSON.stringify(list.name)}]`, context);
    return owner === undefined ? [] : [owner];
  });
  return { name: list.name, at: list.at, owners };
}

function checkOwner(item: Located, where: string, context: CheckContext): NodeSet | undefined {
  const parsed = parseSelector(item, context.declared);
  if (!parsed.ok) {
    context.problems.error(item.at, `${where}: ${parsed.error}`, parsed.hint);
    return undefined;
  }
  noteUser(parsed.selector, context);
  if (parsed.selector.kind !== "nodes") {
    context.problems.error(
      item.at,
      `${where}: invalid owner format: ${JSON.stringify(item.text)}`,
      "owners are users, groups, tags, autogroup:member, autogroup:tagged and the role autogroups",
    );
    return undefined;
  }
  return parsed.selector.set;
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
    return [{ prefix: maskPrefix(prefix), at: list.at, approvers: owners }];
  });
}
