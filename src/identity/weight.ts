// About how many bytes of the heap a value takes that came as JSON: what a stranger can make us keep is bounded by it,
// for a list of a thousand empty objects is two kilobytes on the wire and sixty here.

const perText = 24;
const perObject = 56;
const perItem = 8;
const perField = 16;

export function weightOf(value: unknown): number {
  if (typeof value === "string") {
    return perText + value.length;
  }
  if (typeof value !== "object" || value === null) {
    return 0;
  }
  let weight = perObject;
  if (Array.isArray(value)) {
    for (const item of value as readonly unknown[]) {
      weight += perItem + weightOf(item);
    }
    return weight;
  }
  for (const [name, item] of Object.entries(value)) {
    weight += perField + name.length + weightOf(item);
  }
  return weight;
}
