// `npm run policy-differential -- [--seed N] [--checks N] [--maps N] [--show N]`: generated policies through headscale's
// own server and through Hawser's engine. First what each accepts and in which words it refuses; then, for policies that
// both accept, what every node of a small tailnet is told. Prints classes of differences with an example each: to be
// read by a person, for not every difference is a fault (docs/policy.md lists those that are meant).
import { parseArgs } from "node:util";
import { seeded } from "../sim/simulation/random.ts";
import { formatProblems, compilePolicy } from "../src/policy/index.ts";
import { compareCase } from "./conformance-compare.ts";
import { worldOf } from "./conformance-case.ts";
import { caseOf } from "./differential/told.ts";
import { HeadscaleServer } from "./differential/headscale-server.ts";
import { PolicyMaker } from "./differential/policies.ts";
import { headscaleProgram } from "./headscale-cli.ts";

interface Difference {
  readonly kind: string;
  readonly policy: string;
  readonly detail: string;
}

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    checks: { type: "string", default: "3000" },
    maps: { type: "string", default: "300" },
    show: { type: "string", default: "60" },
  },
});

async function populate(server: HeadscaleServer): Promise<void> {
  for (const [name, email] of [
    ["odin", "odin@example.com"],
    ["thor", "thor@example.org"],
    ["freya", "freya@example.com"],
  ] as const) {
    await server.createUser(name, email);
  }
  const tags = Object.fromEntries(
    ["tag:server", "tag:prod", "tag:client", "tag:router", "tag:exit"].map((tag) => [tag, []]),
  );
  await server.set(JSON.stringify({ tagOwners: tags }));
  const exits = ["0.0.0.0/0", "::/0"];
  for (const node of [
    { name: "odin-one", user: "odin" },
    { name: "odin-two", user: "odin" },
    { name: "thor-one", user: "thor" },
    { name: "freya-one", user: "freya", routes: ["192.168.1.0/24"] },
    { name: "server-one", tags: ["tag:server"] },
    { name: "server-two", tags: ["tag:prod", "tag:server"] },
    { name: "client", tags: ["tag:client"] },
    { name: "router-one", tags: ["tag:router"], routes: ["10.33.0.0/16"] },
    { name: "router-two", tags: ["tag:router", "tag:exit"], routes: ["10.33.0.0/16", ...exits] },
    { name: "router-three", tags: ["tag:server", "tag:router"], routes: ["10.44.0.0/16", "10.33.1.0/24"] },
    { name: "exit", tags: ["tag:exit"], routes: exits },
  ]) {
    await server.join(node);
  }
}

/** The part of headscale's words that a person would know again: its nesting names Go types. */
function inner(text: string): string {
  return text
    .replace(/^(?:parsing policy: |setting policy: |parsing policy from bytes: )+/, "")
    .replace(/^json: (?:cannot|unable to) unmarshal .*? within "[^"]*": /, "");
}

/** Equal for texts that differ only in what they quote. */
function shape(text: string): string {
  return text
    .replace(/line \d+, column \d+: /g, "")
    .replace(/"(?:[^"\\]|\\.)*"/g, '"…"')
    .replace(/\d+(?:\.\d+)*/g, "N")
    .split("\n")
    .slice(0, 2)
    .join(" / ");
}

function report(title: string, differences: readonly Difference[]): void {
  const byKind = new Map<string, Difference[]>();
  for (const each of differences) {
    byKind.set(each.kind, [...(byKind.get(each.kind) ?? []), each]);
  }
  console.log(`\n${title}: ${differences.length} differences of ${byKind.size} kinds`);
  const kinds = [...byKind].sort(([, x], [, y]) => y.length - x.length).slice(0, Number(values.show));
  for (const [kind, [first, ...more]] of kinds) {
    console.log(`\n${String(1 + more.length).padStart(5)} × ${kind}`);
    console.log(`        ${first?.detail.replaceAll("\n", "\n        ") ?? ""}`);
    console.log(`        ${first?.policy ?? ""}`);
  }
}

async function compareChecks(lab: Lab, maker: PolicyMaker, count: number): Promise<void> {
  const world = worldOf(caseOf(lab.server, "{}", new Map()));
  const differences: Difference[] = [];
  let refused = 0;
  for (let index = 0; index < count; index += 1) {
    const policy = JSON.stringify(index % 5 === 0 ? maker.tested() : maker.spoiled());
    const theirs = await lab.server.check(policy);
    if (lab.server.isDead) {
      const why = /^panic: .*$/m.exec(lab.server.said())?.[0] ?? "no words";
      differences.push({ kind: `headscale dies: ${why}`, policy, detail: "" });
      await lab.restart();
      continue;
    }
    const compiled = compilePolicy(policy, { ...world, settings: { serverUrl: "https://unused" } });
    const ours = compiled.ok ? undefined : formatProblems(compiled.errors);
    refused += theirs === undefined ? 0 : 1;
    const kind = checkDifference(ours, theirs);
    if (kind !== undefined) {
      differences.push({ kind, policy, detail: `headscale: ${theirs ?? "accepts"}\nHawser: ${ours ?? "accepts"}` });
    }
  }
  console.log(`${count} policies checked; headscale refuses ${refused}`);
  report("checks", differences);
}

function checkDifference(ours: string | undefined, theirs: string | undefined): string | undefined {
  if (theirs === undefined) {
    return ours === undefined ? undefined : `only Hawser refuses: ${shape(ours)}`;
  }
  if (ours === undefined) {
    return `only headscale refuses: ${shape(inner(theirs))}`;
  }
  const failsBoth = theirs.includes("test(s) failed") && ours.includes("test(s) failed");
  // A value of the wrong kind is said in the words of Go's types.
  if (/^json: |type not supported: |alias not supported for SSH|^netip\./.test(inner(theirs))) {
    return undefined;
  }
  const lines = inner(theirs)
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "multiple errors:");
  return failsBoth || lines.every((line) => ours.includes(line))
    ? undefined
    : `words: ${shape(inner(theirs))} | ${shape(ours)}`;
}

async function compareMaps({ server }: Lab, maker: PolicyMaker, count: number): Promise<void> {
  const differences: Difference[] = [];
  let compared = 0;
  for (let index = 0; index < count; index += 1) {
    const policy = JSON.stringify(maker.valid());
    // Without rules headscale opens everything to everybody, and Tailscale to the tailnet.
    if (!/"(?:acls|grants)":/.test(policy) || (await server.set(policy)) !== undefined) {
      continue;
    }
    compared += 1;
    for (const detail of await mapDifferences(server, policy)) {
      const what = /: (\w+)/.exec(detail)?.[1] ?? detail;
      const has = ["via", "autogroup:self", "app", "autogroup:internet", "localpart"].filter((word) =>
        policy.includes(`"${word}`),
      );
      differences.push({ kind: `${what}, policy with ${has.join(", ")}`, policy, detail });
    }
  }
  console.log(`\n${compared} policies set`);
  report("what nodes are told", differences);
}

/** For a moment after a new policy headscale tells nodes what it had worked out before. */
async function mapDifferences(server: HeadscaleServer, policy: string): Promise<readonly string[]> {
  let differences: readonly string[] = [];
  for (const pause of [0, 100, 400]) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    differences = compareCase(caseOf(server, policy, await server.netmaps()), "ssh", "ignore");
    if (differences.length === 0) {
      break;
    }
  }
  return differences;
}

/** The server, which a policy may be too much for. */
class Lab {
  readonly #program: string;
  server: HeadscaleServer;

  private constructor(program: string, server: HeadscaleServer) {
    this.#program = program;
    this.server = server;
  }

  static async open(program: string): Promise<Lab> {
    return new Lab(program, await startPopulated(program));
  }

  async restart(): Promise<void> {
    await this.server.close();
    this.server = await startPopulated(this.#program);
  }
}

async function startPopulated(program: string): Promise<HeadscaleServer> {
  const server = await HeadscaleServer.start(program);
  try {
    await populate(server);
    return server;
  } catch (error) {
    await server.close();
    throw error;
  }
}

async function main(): Promise<void> {
  const program = headscaleProgram();
  if (program === undefined) {
    throw new Error("headscale's program is not built; node scripts/headscale-cli.ts builds it");
  }
  const lab = await Lab.open(program);
  try {
    const users = ["odin@example.com", "thor@", "freya@example.com"];
    const addresses = lab.server.nodes.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]);
    const maker = new PolicyMaker(seeded(Number(values.seed)), { users, addresses });
    await compareChecks(lab, maker, Number(values.checks));
    await compareMaps(lab, maker, Number(values.maps));
  } finally {
    await lab.server.close();
  }
}

await main();
