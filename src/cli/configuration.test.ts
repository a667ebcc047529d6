// Commands about the configuration, on a file of their own.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { runProgram } from "./program.ts";

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function withConfig(text: string, check: (run: (words: string) => Promise<Run>) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hawser-config-"));
  const file = join(folder, "config.yaml");
  writeFileSync(file, text);
  try {
    await check(async (words) => {
      const out = { stdout: "", stderr: "" };
      const stream = (name: "stdout" | "stderr") => ({
        write: (part: string) => {
          out[name] += part;
        },
        isTerminal: false,
        columns: undefined,
      });
      const io = {
        stdout: stream("stdout"),
        stderr: stream("stderr"),
        readLine: () => Promise.resolve(undefined),
        isInteractive: false,
        env: { HOME: folder },
        now: () => 0,
      };
      const code = await runProgram(["-c", file, ...words.split(" ")], { programName: "hawser", io });
      return { code, ...out };
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const good = `
server_url: https://control.example.com
prefixes:
  v4: 100.64.0.0/10
dns:
  base_domain: tail.example.net
  override_local_dns: false
policy:
  mode: database
`;

test("configtest is silent about a good configuration", () =>
  withConfig(good, async (run) => {
    assert.deepEqual(await run("configtest"), { code: 0, stdout: "", stderr: "" });
  }));

test("configtest says what is wrong, with the line, and ends with 1", () =>
  withConfig(good.replace("100.64.0.0/10", "nonsense"), async (run) => {
    const { code, stdout, stderr } = await run("configtest");
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(
      stderr,
      /^Error: configuration error: loading configuration: Fatal config error: .*config\.yaml:4: prefixes\.v4/m,
    );
  }));

test("doctor config explains every key, for people and for programs", () =>
  withConfig(`${good}\nip_prefixes: 10.0.0.0/8\nnonsense_key: 1\n`, async (run) => {
    const human = await run("doctor config");
    assert.match(human.stdout, /base_domain/);
    assert.match(human.stdout, /nonsense_key +\| unknown/);
    const { stdout } = await run("doctor config -o json");
    const { findings } = JSON.parse(stdout) as { findings: { key: string; kind: string; line: number }[] };
    assert.ok(findings.some(({ key, kind }) => key === "nonsense_key" && kind === "unknown"));
    assert.ok(findings.some(({ key, kind }) => key === "server_url" && kind === "understood"));
  }));

test("policy mode", () =>
  withConfig(good, async (run) => {
    assert.deepEqual(await run("policy mode"), { code: 0, stdout: "database\n", stderr: "" });
  }));

const withPassword = `${good}cli:\n  address: control.example.com:50443\n  api_key: hskey-api-very-secret\n`;

test("configdump prints a configuration that gives the same one when it is used", () =>
  withConfig(withPassword, async (run) => {
    const { code, stdout } = await run("configdump --with-secrets");
    assert.equal(code, 0);
    assert.match(stdout, /^# It holds secrets/m);
    await withConfig(stdout, async (again) => {
      const second = await again("configdump --with-secrets");
      const settings = (text: string): string => text.split("\n").slice(1).join("\n");
      assert.equal(settings(second.stdout), settings(stdout));
    });
    await withConfig((await run("configdump --with-secrets -o json")).stdout, async (again) => {
      const fromJson = await again("configdump --with-secrets -o json");
      assert.equal(fromJson.stdout, (await run("configdump --with-secrets -o json")).stdout);
    });
  }));

test("configdump keeps secrets to itself unless it is asked for them, and says so", () =>
  withConfig(withPassword, async (run) => {
    for (const form of ["", " -o json", " -o yaml"]) {
      assert.ok(!(await run(`configdump${form}`)).stdout.includes("very-secret"), form);
    }
    const { stdout } = await run("dumpConfig");
    assert.match(stdout, /^# cli\.api_key is set, but left out here: --with-secrets prints it$/m);
    assert.match(stdout, /^ {2}address: control\.example\.com:50443$/m);
  }));

test("configdump of a broken configuration says what is wrong and prints nothing", () =>
  withConfig(good.replace("100.64.0.0/10", "nonsense"), async (run) => {
    const { code, stdout, stderr } = await run("configdump");
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /prefixes\.v4/);
  }));

test("a broken file keeps no command guessing", () =>
  withConfig("server_url: [", async (run) => {
    const { code, stderr } = await run("users list");
    assert.equal(code, 1);
    assert.match(stderr, /^Error: loading configuration: /);
  }));
