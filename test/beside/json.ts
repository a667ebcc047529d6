// Looking into parsed JSON of unknown form.

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value at `node.user.name` or `nodes.0.id`; undefined where there is none. */
export function at(value: unknown, path: string): unknown {
  let here = value;
  for (const step of path === "" ? [] : path.split(".")) {
    if (Array.isArray(here)) {
      here = (here as readonly unknown[])[Number(step)];
    } else {
      here = isRecord(here) ? here[step] : undefined;
    }
  }
  return here;
}

export function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
