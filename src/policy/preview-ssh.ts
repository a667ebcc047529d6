// What a new policy changes in who may log in where by Tailscale SSH, under which names, asked again or not.
import type { CompiledEngine } from "./compiled-engine.ts";
import { formatDuration } from "./durations.ts";
import type { Entry } from "./entries.ts";
import type { Identity } from "./identities.ts";
import type { SshRule } from "./policy.ts";
import { groupOf, type AccessChange } from "./preview-groups.ts";

/** Nodes that no SSH rule of either policy tells apart. */
interface SshClass {
  readonly entries: Entry[];
  readonly before: SshSide;
  readonly after: SshSide;
}

interface SshSide {
  /** Equal for equal sets. */
  readonly key: string;
  /** Indexes of the rules with these nodes as source, as destination. */
  readonly src: ReadonlySet<number>;
  readonly dst: ReadonlySet<number>;
}

export function sshChanges(before: CompiledEngine, after: CompiledEngine): readonly AccessChange[] {
  if (before.ssh.isEmpty && after.ssh.isEmpty) {
    return [];
  }
  const classes = classesOf(before, after);
  // Most nodes are named by no SSH rule as source, or as destination.
  const sources = classes.filter((cls) => cls.before.src.size + cls.after.src.size > 0);
  const destinations = classes.filter((cls) => cls.before.dst.size + cls.after.dst.size > 0);
  const rows = sources.flatMap((src) =>
    destinations.flatMap((dst) => {
      const difference = compare(
        loginsBetween(before, src.before, dst.before, false),
        loginsBetween(after, src.after, dst.after, false),
      );
      return difference === undefined ? [] : [{ src, dst, ...difference }];
    }),
  );
  return [...merge(rows), ...ownDevices(before, after, classes)];
}

function classesOf(before: CompiledEngine, after: CompiledEngine): readonly SshClass[] {
  const byKey = new Map<string, SshClass>();
  const sides = { before: new Sides(before), after: new Sides(after) };
  for (const entry of before.entries()) {
    const other = after.entry(entry.node.id);
    if (other === undefined) {
      continue;
    }
    const [x, y] = [sides.before.of(entry), sides.after.of(other)];
    const key = `${x.key}|${y.key}`;
    const found = byKey.get(key);
    if (found === undefined) {
      byKey.set(key, { entries: [entry], before: x, after: y });
    } else {
      found.entries.push(entry);
    }
  }
  return [...byKey.values()];
}

/** What the SSH rules of one policy say of nodes: mostly the same of all that are alike in owner, tags and postures. */
class Sides {
  readonly #engine: CompiledEngine;
  readonly #known = new Map<Identity, Map<readonly number[], SshSide>>();

  constructor(engine: CompiledEngine) {
    this.#engine = engine;
  }

  of(entry: Entry): SshSide {
    const known = this.#known.get(entry.identity) ?? new Map<readonly number[], SshSide>();
    this.#known.set(entry.identity, known);
    let side = known.get(entry.sources);
    if (side === undefined) {
      side = this.#make(entry);
      known.set(entry.sources, side);
    }
    return side;
  }

  #make(entry: Entry): SshSide {
    const { policy, sshSources } = this.#engine.program;
    const sources = new Set(entry.sources);
    const indexes = (named: (rule: SshRule) => boolean): readonly number[] =>
      policy.ssh.filter(named).map(({ index }) => index);
    const src = indexes(({ index }) => sources.has(sshSources[index]?.id ?? -1));
    const dst = indexes((rule) => this.#engine.ssh.isDestination(rule, entry));
    return { key: `${src.join()}/${dst.join()}`, src: new Set(src), dst: new Set(dst) };
  }
}

/** Logins in words; between devices of one person autogroup:self counts too. */
function loginsBetween(engine: CompiledEngine, src: SshSide, dst: SshSide, own: boolean): ReadonlySet<string> {
  const rules = engine.program.policy.ssh.filter(
    ({ index, self }) => src.src.has(index) && (dst.dst.has(index) || (own && self)),
  );
  return new Set(rules.flatMap(loginsOf));
}

function loginsOf(rule: SshRule): readonly string[] {
  const how =
    rule.action === "accept"
      ? ""
      : rule.checkPeriod === 0
        ? ", asked every time"
        : `, asked every ${formatDuration(rule.checkPeriod)}`;
  return [
    ...(rule.root ? ["root"] : []),
    ...(rule.nonroot ? ["any user but root"] : []),
    ...rule.logins,
    ...rule.localparts.map((domain) => `own name at ${domain}`),
  ].map((login) => `ssh as ${login}${how}`);
}

interface Difference {
  readonly gained: readonly string[];
  readonly lost: readonly string[];
}

function compare(before: ReadonlySet<string>, after: ReadonlySet<string>): Difference | undefined {
  const gained = [...after].filter((login) => !before.has(login));
  const lost = [...before].filter((login) => !after.has(login));
  return gained.length + lost.length === 0 ? undefined : { gained, lost };
}

function merge(
  rows: readonly ({ readonly src: SshClass; readonly dst: SshClass } & Difference)[],
): readonly AccessChange[] {
  const merged = new Map<string, Difference & { readonly src: Set<SshClass>; readonly dst: SshClass }>();
  const numbers = new Map<SshClass, number>();
  for (const { src, dst, gained, lost } of rows) {
    const number = numbers.get(dst) ?? numbers.size;
    numbers.set(dst, number);
    const key = JSON.stringify([number, gained, lost]);
    const found = merged.get(key) ?? { src: new Set<SshClass>(), dst, gained, lost };
    merged.set(key, found);
    found.src.add(src);
  }
  return [...merged.values()].map(({ src, dst, gained, lost }) => ({
    src: groupOf([...src].flatMap(({ entries }) => entries)),
    dst: groupOf(dst.entries),
    ownDevices: false,
    gained,
    lost,
  }));
}

function ownDevices(
  before: CompiledEngine,
  after: CompiledEngine,
  classes: readonly SshClass[],
): readonly AccessChange[] {
  const uses = (engine: CompiledEngine): boolean => engine.program.policy.ssh.some(({ self }) => self);
  if (!uses(before) && !uses(after)) {
    return [];
  }
  return classes.flatMap((cls) => {
    const people = cls.entries.filter(({ identity }) => identity.user !== undefined);
    const difference = compare(
      loginsBetween(before, cls.before, cls.before, true),
      loginsBetween(after, cls.after, cls.after, true),
    );
    const plain = compare(
      loginsBetween(before, cls.before, cls.before, false),
      loginsBetween(after, cls.after, cls.after, false),
    );
    // What holds between all of them was said already.
    const said = JSON.stringify(plain) === JSON.stringify(difference);
    return difference === undefined || said || people.length === 0
      ? []
      : [{ src: groupOf(people), dst: groupOf(people), ownDevices: true, ...difference }];
  });
}
