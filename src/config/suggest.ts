// "Did you mean": the known name that is closest to an unknown one.

/** Edits (insert, delete, replace, swap neighbours) from one text to the other. */
export function editDistance(x: string, y: string): number {
  let before: number[] = [];
  let row = Array.from({ length: y.length + 1 }, (_, index) => index);
  for (let i = 1; i <= x.length; i++) {
    const next = [i];
    for (let j = 1; j <= y.length; j++) {
      const cost = x[i - 1] === y[j - 1] ? 0 : 1;
      let best = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && x[i - 1] === y[j - 2] && x[i - 2] === y[j - 1]) {
        best = Math.min(best, (before[j - 2] ?? 0) + 1);
      }
      next.push(best);
    }
    before = row;
    row = next;
  }
  return row[y.length] ?? 0;
}

const longestName = 128;

/** The known key that is few edits away. */
export function closestKey(unknown: string, known: readonly string[]): string | undefined {
  if (unknown.length > longestName) {
    return undefined;
  }
  const most = Math.max(2, Math.floor(unknown.length / 5));
  let best: string | undefined;
  let bestDistance = most + 1;
  for (const key of known) {
    const distance = Math.abs(key.length - unknown.length) > most ? most + 1 : editDistance(unknown, key);
    if (distance < bestDistance) {
      best = key;
      bestDistance = distance;
    }
  }
  return best;
}

/** The one known key with the same last part, if there is exactly one. */
export function keyWithSameEnd(unknown: string, known: readonly string[]): string | undefined {
  const alike = known.filter((key) => lastPart(key) === lastPart(unknown));
  return alike.length === 1 ? alike[0] : undefined;
}

function lastPart(key: string): string {
  return key.slice(key.lastIndexOf(".") + 1);
}
