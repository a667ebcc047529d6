// What the parts of the checker share: declared names, postures, and where to complain.
import type { BrokenTest, UserToken } from "./policy.ts";
import type { Posture } from "./postures.ts";
import { didYouMean } from "./name-hints.ts";
import type { Problems } from "./problems.ts";
import { isEmptyService, type Declared, type Selector } from "./selectors.ts";
import type { Located } from "./source.ts";

/** Everything a check needs: declared names, postures, and where to complain. */
export interface CheckContext {
  readonly declared: Declared;
  readonly postures: ReadonlyMap<string, Posture>;
  readonly defaultPostures: readonly Posture[];
  readonly problems: Problems;
  readonly userTokens: UserToken[];
  readonly brokenTests: BrokenTest[];
}

/** The postures that a list names; unknown ones are errors. */
export function lookUpPostures(
  names: readonly Located[],
  postures: ReadonlyMap<string, Posture>,
  problems: Problems,
): readonly Posture[] {
  return names.flatMap((name) => {
    const posture = postures.get(name.text.trim());
    if (posture === undefined) {
      problems.error(name.at, `posture not defined in policy: ${JSON.stringify(name.text)}`, () =>
        didYouMean(name.text, postures.keys(), "postures are declared in postures"),
      );
      return [];
    }
    return [posture];
  });
}

/** Notes a user that a selector names, so that a token meaning two users is refused; warns of services without address. */
export function noteUser(selector: Selector, context: CheckContext): void {
  if (isEmptyService(selector)) {
    context.problems.warn(selector.at, `${selector.text} has no addresses: rules open nothing to it or from it`);
  }
  if (selector.kind === "nodes" && selector.set.kind === "user") {
    context.userTokens.push({ token: selector.set.token, at: selector.at });
  }
}
