// `npm run bench policy`: what a large policy costs: to compile, to keep up to date as nodes and users change, to ask for
// filters and peers; and how that grows with the tailnet. In one process, without network.
import type { PolicyEngine, PolicyNode, PolicyUser } from "../src/policy/engine.ts";
import { compilePolicy, formatProblems, preview } from "../src/policy/index.ts";
import type { NodeId } from "../src/wire/ids.ts";
import { makeWorld, type BenchWorld, type WorldSize } from "./policy-world.ts";

export interface PolicyFigures {
  readonly nodes: number;
  /** Milliseconds; medians where there are several. */
  readonly compile: number;
  readonly joinNode: number;
  readonly changeTags: number;
  readonly changeRoutes: number;
  readonly userJoinsGroup: number;
  /** The filter of one node after a change, and the worst of them. */
  readonly filter: number;
  readonly filterWorst: number;
  readonly firstFilters: number;
  readonly peers: number;
  readonly compileWithSelf: number;
  readonly joinWithSelf: number;
  /** An edit of a few rules, compiled and compared with what is in force. */
  readonly previewEdit: number;
  /** A policy with other names in every rule, in milliseconds of processor time. */
  readonly previewReplace: number;
  readonly classes: number;
}

/** What must hold at 10,000 nodes, in milliseconds. */
export const policyMarks = {
  compile: 400,
  joinNode: 2,
  changeTags: 2,
  changeRoutes: 2,
  userJoinsGroup: 20,
  filter: 1,
  previewEdit: 1000,
  previewReplace: 1000,
} as const;

function time(action: () => void): number {
  const start = performance.now();
  action();
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((x, y) => x - y);
  return sorted[sorted.length >> 1] ?? 0;
}

function compile(world: BenchWorld): PolicyEngine {
  const compiled = compilePolicy(world.text, {
    users: world.users,
    nodes: world.nodes,
    settings: { serverUrl: "https://control.example" },
  });
  if (!compiled.ok) {
    throw new Error(formatProblems(compiled.errors));
  }
  return compiled.engine;
}

/** Takes three rules away and adds one. */
function previewEdit(engine: PolicyEngine, { text, users, nodes }: BenchWorld): void {
  const edited = text.replace(
    /"acls":\[(\{[^}]*\},){3}/,
    '"acls":[{"action":"accept","src":["group:g1"],"dst":["tag:t5:22"]},',
  );
  const result = preview(engine, edited, { users, nodes, settings: { serverUrl: "https://control.example" } });
  if (!result.ok || result.pairsGaining + result.pairsLosing === 0) {
    throw new Error("the edit changed nothing");
  }
}

/** Puts other tags and groups into every rule. */
function previewReplace(engine: PolicyEngine, { text, users, nodes }: BenchWorld): void {
  const start = text.indexOf('"acls"');
  const rules = text
    .slice(start)
    .replace(/tag:t(\d+)/g, (_, tag: string) => `tag:t${(Number(tag) * 7 + 13) % 200}`)
    .replace(/group:g(\d+)/g, (_, group: string) => `group:g${(Number(group) * 7 + 13) % 100}`);
  const replaced = text.slice(0, start) + rules;
  const result = preview(engine, replaced, { users, nodes, settings: { serverUrl: "https://control.example" } });
  if (!result.ok || result.pairsGaining === 0 || result.pairsLosing === 0) {
    throw new Error("the other policy changed nothing");
  }
}

function processorTime(action: () => void): number {
  const start = process.cpuUsage();
  action();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

const repeats = 30;

export function measurePolicy(nodes: number): PolicyFigures {
  const size: WorldSize = { nodes, users: 500, groups: 100, tags: 200, rules: 1000, self: false };
  const world = makeWorld(size);
  const compileTimes = Array.from({ length: 5 }, () => time(() => compile(world)));
  const engine = compile(world);
  const firstFilters = time(() => world.nodes.forEach(({ id }) => engine.filterOf(id)));
  const peers = time(() => world.nodes.slice(0, 200).forEach(({ id }) => engine.viewOf(id).peers())) / 200;
  const previewTimes = Array.from({ length: 3 }, () => time(() => previewEdit(engine, world)));
  const replaceTimes = Array.from({ length: 5 }, () => processorTime(() => previewReplace(engine, world)));
  const changes = measureChanges(engine, world);
  const own = makeWorld({ ...size, self: true });
  const compileWithSelf = median(Array.from({ length: 3 }, () => time(() => compile(own))));
  const withSelf = compile(own);
  own.nodes.forEach(({ id }) => withSelf.filterOf(id));
  return {
    nodes,
    compile: median(compileTimes),
    firstFilters,
    peers,
    ...changes,
    compileWithSelf,
    joinWithSelf: measureChanges(withSelf, own).joinNode,
    previewEdit: median(previewTimes),
    previewReplace: median(replaceTimes),
    classes: new Set(world.nodes.map(({ id }) => engine.viewOf(id).id)).size,
  };
}

function measureChanges(
  engine: PolicyEngine,
  world: BenchWorld,
): Pick<PolicyFigures, "joinNode" | "changeTags" | "changeRoutes" | "userJoinsGroup" | "filter" | "filterWorst"> {
  const filters: number[] = [];
  const pick = (index: number): PolicyNode => {
    const node = world.nodes[(index * 7919) % world.nodes.length];
    if (node === undefined) {
      throw new Error("no nodes");
    }
    return node;
  };
  const apply = (node: PolicyNode): number => {
    let named: readonly NodeId[] = [];
    const spent = time(() => {
      named = engine.apply([{ kind: "node", node }]).nodes;
    });
    // The first filters after a change pay for what it made stale.
    for (const id of named.slice(0, 20)) {
      filters.push(time(() => engine.filterOf(id)));
    }
    return spent;
  };
  const runs = (change: (index: number) => PolicyNode): number =>
    median(Array.from({ length: repeats }, (_, index) => apply(change(index))));
  const joinNode = runs((index) => ({
    ...pick(index),
    id: (world.nodes.length + 1 + index) as NodeId,
    ipv4: { family: 4, a: 0x647f0000 + index },
    ipv6: { family: 6, a: 0xfd7a115c, b: 0xa1e00000, c: 1, d: index },
  }));
  const changeTags = runs((index) => ({ ...pick(index), user: null, tags: [`tag:t${index}`] }));
  const changeRoutes = runs((index) => ({
    ...pick(index + 100),
    routes: [{ addr: { family: 4, a: 0x0ac80000 + index * 256 }, bits: 24 }],
  }));
  const groupTimes = world.users
    .slice(10, 10 + repeats)
    .map((user: PolicyUser, index) =>
      time(() => engine.apply([{ kind: "user", user: { ...user, groups: [`group:g${index}`] } }])),
    );
  return {
    joinNode,
    changeTags,
    changeRoutes,
    userJoinsGroup: median(groupTimes),
    filter: median(filters),
    filterWorst: Math.max(...filters),
  };
}

/** Prints the figures for each size; 1 when a mark is missed at 10,000 nodes. */
export function run(args: { readonly sizes?: readonly number[]; readonly print: (line: string) => void }): {
  readonly results: readonly PolicyFigures[];
  readonly exitCode: number;
} {
  const sizes = args.sizes ?? [1000, 3000, 10_000, 30_000];
  // The first run of everything pays for the compiler of the runtime, not for the policy.
  measurePolicy(1000);
  const results = sizes.map(measurePolicy);
  const rows: readonly (readonly [string, keyof PolicyFigures])[] = [
    ["full compile", "compile"],
    ["a node joins", "joinNode"],
    ["a node changes tags", "changeTags"],
    ["a node changes routes", "changeRoutes"],
    ["a user joins a group", "userJoinsGroup"],
    ["filter after a change", "filter"],
    ["  worst", "filterWorst"],
    ["all filters, first time", "firstFilters"],
    ["peers of one view", "peers"],
    ["preview of an edit", "previewEdit"],
    ["preview of another, CPU", "previewReplace"],
    ["compile with self", "compileWithSelf"],
    ["a node joins, with self", "joinWithSelf"],
    ["views", "classes"],
  ];
  args.print(
    ["milliseconds".padEnd(26), ...results.map(({ nodes }) => String(nodes).padStart(10)), "      mark"].join(""),
  );
  for (const [label, key] of rows) {
    const mark = (policyMarks as Partial<Record<keyof PolicyFigures, number>>)[key];
    const figures = results.map((result) =>
      (key === "classes" ? String(result[key]) : result[key].toFixed(2)).padStart(10),
    );
    args.print([label.padEnd(26), ...figures, mark === undefined ? "" : `  <= ${mark}`].join(""));
  }
  const [first] = results;
  const last = results.at(-1);
  if (first !== undefined && last !== undefined && first !== last) {
    const growth = last.compile / first.compile / (last.nodes / first.nodes);
    args.print(
      `compile grows ${growth.toFixed(2)} times as fast as the number of nodes, ${first.nodes} to ${last.nodes}`,
    );
  }
  const missed = results
    .filter(({ nodes }) => nodes === 10_000)
    .flatMap((result) =>
      Object.entries(policyMarks)
        .filter(([key, mark]) => result[key as keyof typeof policyMarks] > mark)
        .map(([key]) => key),
    );
  args.print(missed.length === 0 ? "all marks met" : `missed: ${missed.join(", ")}`);
  return { results, exitCode: missed.length === 0 ? 0 : 1 };
}

if (import.meta.main) {
  const sizes = process.argv.slice(2).map(Number);
  process.exitCode = run({
    ...(sizes.length > 0 ? { sizes } : {}),
    print: (line) => process.stdout.write(`${line}\n`),
  }).exitCode;
}
