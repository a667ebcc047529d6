// Where DERP maps come from: YAML files and JSON URLs that the operator has configured (nothing a node sends ever
// becomes a URL here). Sizes and times are bounded; redirects are not followed, so a configured host cannot point this
// server at another one inside the operator's network.
import { open } from "node:fs/promises";
import { parse as parseYaml } from "yaml";
import { parseDerpMap, type RegionChanges } from "./derp-map-schema.ts";

export type MapSource =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "url"; readonly url: string };

export type SourceOutcome =
  | { readonly kind: "loaded"; readonly regions: RegionChanges; readonly problems: readonly string[] }
  | { readonly kind: "failed"; readonly problems: readonly string[] };

const maxBytes = 1024 * 1024;
const timeoutMs = 30_000;

export function sourceName(source: MapSource): string {
  return source.kind === "file" ? source.path : source.url;
}

/** Reads one source; problems name the source and the key. Never rejects. */
export async function loadSource(source: MapSource): Promise<SourceOutcome> {
  const name = sourceName(source);
  let value: unknown;
  try {
    value =
      source.kind === "file" ? parseYaml(await readBounded(source.path)) : JSON.parse(await fetchBounded(source.url));
  } catch (error) {
    return { kind: "failed", problems: [`${name}: ${reasonOf(error)}`] };
  }
  const { regions, problems } = parseDerpMap(value);
  const named = problems.map(({ key, problem }) => `${name}: ${key}: ${problem}`);
  // Nothing usable at all is a failure, or a truncated download would empty the map.
  return regions.size === 0 && named.length > 0
    ? { kind: "failed", problems: named }
    : { kind: "loaded", regions, problems: named };
}

async function readBounded(path: string): Promise<string> {
  const file = await open(path, "r");
  try {
    const buffer = Buffer.alloc(maxBytes + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    if (bytesRead > maxBytes) {
      throw new Error(`is larger than ${maxBytes} bytes`);
    }
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}

async function fetchBounded(url: string): Promise<string> {
  const { protocol } = new URL(url);
  if (protocol !== "https:" && protocol !== "http:") {
    throw new Error("only http and https URLs are fetched");
  }
  const response = await fetch(url, {
    redirect: "manual",
    signal: AbortSignal.timeout(timeoutMs),
    headers: { Accept: "application/json" },
  });
  const body = response.body;
  if (response.status !== 200 || body === null) {
    await body?.cancel();
    const to = response.headers.get("location");
    throw new Error(
      to === null ? `answered with status ${response.status}` : `redirects to ${to}: name that address instead`,
    );
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxBytes) {
      throw new Error(`is larger than ${maxBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** fetch hides the reason in `cause`. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
