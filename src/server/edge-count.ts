// On how many threads client connections live, where the configuration leaves it to the server.

/** From here on a fan-out is worth a second core; below, a thread costs more memory than it saves time. */
const manyNodes = 2000;
/** More edges than this wait for the core, which stays one. */
const mostEdges = 8;

/** 0: on the main thread. `cores`: those this process may use; one of them is the main thread's. */
export function edgeCount(given: {
  readonly asked: number | undefined;
  readonly cores: number;
  readonly nodes: number;
  readonly platform: string;
}): number {
  const { asked, cores, nodes, platform } = given;
  if (asked !== undefined) {
    return asked;
  }
  // Elsewhere the system does not spread the connections of one port over several listeners.
  if (platform !== "linux" || nodes < manyNodes) {
    return 0;
  }
  return Math.min(mostEdges, cores - 1);
}
