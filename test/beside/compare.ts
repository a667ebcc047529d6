// Two outcomes side by side: every place where they differ. Answers of different statuses are one difference.
import { isRecord } from "./json.ts";

export interface Finding {
  /** `body.node.user.name`; positions of lists are `*`. */
  readonly path: string;
  readonly theirs: unknown;
  readonly ours: unknown;
}

/** Stands where one side has nothing. */
export const absent = "<absent>";

export function findings(theirs: unknown, ours: unknown, path = ""): readonly Finding[] {
  if (path === "" && isRecord(theirs) && isRecord(ours) && theirs["status"] !== ours["status"]) {
    return [{ path: "status", theirs, ours }];
  }
  if (Array.isArray(theirs) && Array.isArray(ours)) {
    if (theirs.length !== ours.length) {
      return [{ path, theirs, ours }];
    }
    return theirs.flatMap((item, index) => findings(item, ours[index], `${path}.*`));
  }
  if (isRecord(theirs) && isRecord(ours)) {
    const names = [...new Set([...Object.keys(theirs), ...Object.keys(ours)])];
    return names.flatMap((name) =>
      findings(
        name in theirs ? theirs[name] : absent,
        name in ours ? ours[name] : absent,
        path === "" ? name : `${path}.${name}`,
      ),
    );
  }
  return Object.is(theirs, ours) ? [] : [{ path, theirs, ours }];
}
