// How many turns of the event loop others get while something is made.

/** Resolves with what was made and in how many turns others had a say before that. */
export async function withTurns<Made>(make: () => Promise<Made>): Promise<{ made: Made; turns: number }> {
  let turns = 0;
  let isDone = false;
  const others = (): void => {
    turns += isDone ? 0 : 1;
    if (!isDone) {
      setImmediate(others);
    }
  };
  setImmediate(others);
  const made = await make();
  isDone = true;
  return { made, turns };
}
