// Does something grow? A straight line through what was seen, and what it would come to in an hour.

export interface Growth {
  /** What an hour more would add, as a part of what there was: 0.1 is a tenth. */
  readonly perHour: number;
  /** How far off that may be by chance: one standard error of the slope. */
  readonly uncertainty: number;
}

/**
 * What an hour more may add, as a part of what there was, by a straight line through all but the warm-up, and how far off
 * that may be for a run to show anything (README.md says why).
 */
export const tolerance = 0.1;

/** Samples that scatter by more than what is looked for show nothing, whichever way the line goes. */
export function isShown(growths: readonly Growth[]): boolean {
  return growths.every(({ uncertainty }) => uncertainty <= tolerance);
}

/** Least squares over samples that stand `everySeconds` apart. */
export function growthOf(samples: readonly number[], everySeconds: number): Growth {
  const count = samples.length;
  const perHour = 3600 / everySeconds;
  const middle = (count - 1) / 2;
  const mean = samples.reduce((sum, value) => sum + value, 0) / count;
  const spread = samples.reduce((sum, _, index) => sum + (index - middle) ** 2, 0);
  const slope = samples.reduce((sum, value, index) => sum + (index - middle) * (value - mean), 0) / spread;
  const start = mean - slope * middle;
  const residual = samples.reduce((sum, value, index) => sum + (value - start - slope * index) ** 2, 0);
  const error = count < 3 ? Infinity : Math.sqrt(residual / (count - 2) / spread);
  return { perHour: (slope * perHour) / start, uncertainty: (error * perHour) / start };
}

/** What was seen once the server had run for `warmUpSeconds`, at most a quarter of the whole. */
export function judged(samples: readonly number[], everySeconds: number, warmUpSeconds: number): readonly number[] {
  return samples.slice(Math.min(Math.ceil(warmUpSeconds / everySeconds), Math.floor(samples.length / 4)));
}
