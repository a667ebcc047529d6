// Which operation a method and path mean. Fixed segments win over `{fields}`, which may be empty; a path that exists
// under another method is told apart from one that does not exist.
import type { Method } from "./call.ts";
import type { Operation } from "./operation.ts";

export type Route =
  | { readonly kind: "found"; readonly operation: Operation; readonly params: ReadonlyMap<string, string> }
  | { readonly kind: "wrong-method" }
  | { readonly kind: "unknown" };

interface Pattern {
  readonly operation: Operation;
  readonly segments: readonly string[];
  /** How many segments are fixed: more is more specific. */
  readonly fixed: number;
}

export type Router = (method: string, path: string) => Route;

export function createRouter(operations: readonly Operation[]): Router {
  const byLength = new Map<number, Pattern[]>();
  for (const operation of operations) {
    const segments = operation.call.path.split("/");
    const fixed = segments.filter((segment) => !segment.startsWith("{")).length;
    const patterns = byLength.get(segments.length) ?? [];
    patterns.push({ operation, segments, fixed });
    byLength.set(segments.length, patterns);
  }
  for (const patterns of byLength.values()) {
    patterns.sort((a, b) => b.fixed - a.fixed);
  }
  return (method, path) => {
    const segments = path.split("/");
    let route: Route = { kind: "unknown" };
    for (const pattern of byLength.get(segments.length) ?? []) {
      const params = matchSegments(pattern.segments, segments);
      if (params !== undefined && sameMethod(pattern.operation.call.method, method)) {
        return { kind: "found", operation: pattern.operation, params };
      }
      if (params !== undefined) {
        route = { kind: "wrong-method" };
      }
    }
    return route;
  };
}

function sameMethod(declared: Method, given: string): boolean {
  return declared === given;
}

function matchSegments(pattern: readonly string[], segments: readonly string[]): Map<string, string> | undefined {
  const params = new Map<string, string>();
  for (const [index, expected] of pattern.entries()) {
    const segment = segments[index] ?? "";
    const text = segment.includes("%") ? decodeSegment(segment) : segment;
    if (text === undefined) {
      return undefined;
    }
    if (expected.startsWith("{")) {
      params.set(expected.slice(1, -1), text);
    } else if (expected !== text) {
      return undefined;
    }
  }
  return params;
}

function decodeSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
