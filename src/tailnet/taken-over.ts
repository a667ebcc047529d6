// What the tailnet treats differently because it came from another program's database.

/**
 * Who set the policy versions that were taken over. An older one of them is never put in force in place of the newest:
 * it may open what its successor shut.
 */
export const setByHeadscale = "headscale";
