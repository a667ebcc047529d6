import { readFile } from "node:fs/promises";
import { CheckPolicy, GetPolicy, SetPolicy } from "../../api/calls.ts";
import { CliError } from "../cli-error.ts";
import type { Invocation } from "../invocation.ts";

/** `policy get` writes the text alone, whatever --output says. */
export async function getPolicy(run: Invocation): Promise<void> {
  const client = await run.client();
  const { policy } = await client.call(GetPolicy, {}, "getting policy");
  run.io.stdout.write(`${policy}\n`);
}

async function policyFile(run: Invocation): Promise<string> {
  const path = run.flags.text("file");
  try {
    return await readFile(path, "utf8");
  } catch (fault) {
    throw new CliError(`reading policy file: ${fault instanceof Error ? fault.message : path}`);
  }
}

export async function setPolicy(run: Invocation): Promise<void> {
  const policy = await policyFile(run);
  const client = await run.client();
  await client.call(SetPolicy, { policy }, "setting policy");
  run.io.stdout.write("Policy updated.\n");
}

export async function checkPolicy(run: Invocation): Promise<void> {
  const policy = await policyFile(run);
  const client = await run.client();
  await client.call(CheckPolicy, { policy }, "checking policy");
  run.io.stdout.write("Policy is valid\n");
}
