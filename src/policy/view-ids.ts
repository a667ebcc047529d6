// View ids are unique for the life of the process, over all engines: a session may compare the id it had under one
// policy with the one it has under the next.
import type { ViewId } from "./engine.ts";

let last = 0;

/** An id that was never given out before. */
export function nextViewId(): ViewId {
  last += 1;
  return last;
}
