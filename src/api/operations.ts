// All operations there are.
import { authOperations } from "./operations-auth.ts";
import { explainOperations } from "./operations-explain.ts";
import { keyOperations } from "./operations-keys.ts";
import { nodeOperations } from "./operations-nodes.ts";
import { ownOperations } from "./operations-own.ts";
import { policyOperations } from "./operations-policy.ts";
import { userOperations } from "./operations-users.ts";
import type { Operation } from "./operation.ts";

export const operations: readonly Operation[] = [
  ...userOperations,
  ...keyOperations,
  ...nodeOperations,
  ...authOperations,
  ...policyOperations,
  ...ownOperations,
  ...explainOperations,
];
