// DNS labels of nodes: made from what the machine calls itself, unique in the tailnet (protocol §11.1, headscale §7.5).
const maxLabel = 63;
const edge = /^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g;
const label = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;

/** The label for a raw hostname, or `node` when nothing of it can be used. */
export function sanitizeHostname(hostname: string): string {
  let text = hostname;
  for (const suffix of [".local", ".localdomain", ".lan"]) {
    if (text.endsWith(suffix)) {
      text = text.slice(0, -suffix.length);
    }
  }
  text = truncated(text)
    .replace(edge, "")
    .replace(/[ .@_]/g, "-")
    .replace(/[^A-Za-z0-9-]/g, "")
    .toLowerCase()
    .replace(edge, "");
  return text === "" ? "node" : text;
}

/** The first 63 bytes of the UTF-8 form; what is left of a cut character is dropped with all that is not ASCII. */
function truncated(text: string): string {
  if (text.length <= maxLabel / 3) {
    return text;
  }
  const bytes = new TextEncoder().encode(text);
  return bytes.length <= maxLabel ? text : new TextDecoder().decode(bytes.subarray(0, maxLabel));
}

/** Why a text cannot be a label, in headscale's words; undefined when it can; capitals count as small ones. */
export function labelFault(text: string): string | undefined {
  if (text === "") {
    return "empty DNS label";
  }
  if (text.length > maxLabel) {
    return `${JSON.stringify(text)} is too long, max length is ${maxLabel} bytes`;
  }
  if (label.test(text.toLowerCase())) {
    return undefined;
  }
  const lead = `${JSON.stringify(text)} is not a valid DNS label:`;
  if (!/^[a-z0-9]/i.test(text)) {
    return `${lead} must start with a letter or number`;
  }
  if (!/[a-z0-9]$/i.test(text)) {
    return `${lead} must end with a letter or number`;
  }
  return `${lead} contains invalid character '${/[^a-z0-9-]/iu.exec(text)?.[0] ?? ""}'`;
}

/** `host-12` → `host` and 12; undefined without such an ending. */
function splitNumbered(name: string): { readonly base: string; readonly count: number } | undefined {
  const match = /^(.*)-([1-9][0-9]{0,8})$/.exec(name);
  return match?.[1] === undefined ? undefined : { base: match[1], count: Number(match[2]) };
}

function numbered(base: string, count: number): string {
  const ending = `-${count}`;
  return base.slice(0, maxLabel - ending.length).replace(/-+$/, "") + ending;
}

/** Is `name` what `base` becomes, perhaps after a collision? */
export function derivesFrom(name: string, base: string): boolean {
  if (name === base) {
    return true;
  }
  const split = splitNumbered(name);
  return split !== undefined && numbered(base, split.count) === name;
}

/**
 * Which names are taken, with the next free number per base: finding one for the ten-thousandth `host` is one step. DNS
 * does not tell capitals (headscale lets names have them) from small letters.
 */
export class NameTable {
  readonly #taken = new Set<string>();
  /** All numbers below are taken. Saves looking and nothing else, so it may be forgotten. */
  readonly #nextNumber = new Map<string, number>();

  has(name: string): boolean {
    return this.#taken.has(name.toLowerCase());
  }

  take(name: string): void {
    this.#taken.add(name.toLowerCase());
  }

  free(text: string): void {
    const name = text.toLowerCase();
    this.#taken.delete(name);
    const split = splitNumbered(name);
    if (split !== undefined && split.count < (this.#nextNumber.get(split.base) ?? 1)) {
      this.#nextNumber.set(split.base, split.count);
    }
  }

  /** The first free of base, base-1, base-2, … (not taken yet by this call). */
  unique(base: string): string {
    if (!this.has(base)) {
      return base;
    }
    const key = base.toLowerCase();
    let count = this.#nextNumber.get(key) ?? 1;
    while (this.#taken.has(numbered(key, count))) {
      count++;
    }
    if (this.#nextNumber.size > this.#taken.size) {
      // Bases of names that are long gone: with as many as there are names, looking again costs no more than that.
      this.#nextNumber.clear();
    }
    this.#nextNumber.set(key, count);
    return numbered(base, count);
  }

  /** For how many bases something is remembered. */
  get bases(): number {
    return this.#nextNumber.size;
  }
}
