// The program itself, as people start it: a server in a process of its own, and commands beside it.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { generousSeconds, until } from "./patience.ts";

export const program = join(import.meta.dirname, "../bin/hawser");

export interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export type Env = Readonly<Record<string, string>>;

/** The variables of this process, without those that would configure the program; commands wait for a slow machine. */
export function cleanEnv(more: Env): Record<string, string> {
  const own = Object.entries(process.env).filter(([name]) => !/^(HAWSER|HEADSCALE)_/.test(name));
  const patient = { HAWSER_CLI_TIMEOUT: `${generousSeconds}s` };
  return Object.fromEntries(
    [...own, ...Object.entries({ ...patient, ...more })].flatMap(([k, v]) => (v === undefined ? [] : [[k, v]])),
  );
}

export async function runProgram(words: readonly string[], env: Env, command = program): Promise<Output> {
  const child = spawn(command, words, { env: cleanEnv(env), stdio: ["ignore", "pipe", "pipe"] });
  const out = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => {
    out.stdout += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    out.stderr += chunk.toString();
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...out };
}

export interface ServerProcess {
  /** What it has said so far. */
  said(): string;
  /** Sends a signal that does not end it. */
  signal(name: "SIGHUP"): void;
  /** Ends it as a service manager does, and waits for it. */
  stop(): Promise<void>;
  /** Ends it with no chance to do anything more, and waits for it. */
  kill(): Promise<void>;
}

/** Resolves when the server answers at `url`; throws with what it said when it ends before. */
export async function startServerProcess(words: readonly string[], url: string, env: Env): Promise<ServerProcess> {
  const child = spawn(program, [...words, "serve"], { env: cleanEnv(env), stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
  }
  try {
    await until("the server answers", () => hasEnded(child) || answers(url));
    assert.ok(!hasEnded(child));
  } catch {
    child.kill("SIGKILL");
    throw new Error(`the server does not serve:\n${said}`);
  }
  return {
    said: () => said,
    signal: (name) => void child.kill(name),
    stop: () => end(child, "SIGTERM"),
    kill: () => end(child, "SIGKILL"),
  };
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`)).ok;
  } catch {
    return false;
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (!hasEnded(child)) {
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }
}
