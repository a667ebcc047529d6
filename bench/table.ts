// Results as a table for people: one row a mark, one column a size, and how each mark grows from size to size.
import type { Marks, MeshResult } from "./mesh.ts";

type Labels = Readonly<Record<string, { readonly label: string; readonly unit: string }>>;

/** Growth is the exponent e in mark ~ nodes^e between the smallest and the largest size. */
export function meshTable(results: readonly MeshResult[], labels: Labels): string {
  const header = ["", "unit", ...results.map(({ nodes }) => `${nodes} nodes`), ...factorNames(results), "exponent"];
  const rows = Object.entries(labels)
    .filter(([name]) => results.some(({ marks }) => name in marks))
    .map(([name, { label, unit }]) => {
      const values = results.map(({ marks }) => marks[name] ?? NaN);
      return [label, unit, ...values.map(number), ...factors(values), exponent(results, name)];
    });
  return align([header, ...rows]);
}

function factorNames(results: readonly MeshResult[]): string[] {
  return results.slice(1).map(({ nodes }, index) => `×${number(nodes / (results[index]?.nodes ?? nodes))}`);
}

function factors(values: readonly number[]): string[] {
  return values.slice(1).map((value, index) => `×${number(value / (values[index] ?? NaN))}`);
}

function exponent(results: readonly MeshResult[], name: string): string {
  const [first, last] = [results.at(0), results.at(-1)];
  const [a, b] = [markOf(first?.marks, name), markOf(last?.marks, name)];
  if (first === undefined || last === undefined || first === last || !(a > 0) || !(b > 0)) {
    return "";
  }
  return (Math.log(b / a) / Math.log(last.nodes / first.nodes)).toFixed(2);
}

function markOf(marks: Marks | undefined, name: string): number {
  return marks?.[name] ?? 0;
}

export function number(value: number): string {
  if (!Number.isFinite(value)) {
    return "–";
  }
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
}

function align(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  "),
    )
    .join("\n");
}
