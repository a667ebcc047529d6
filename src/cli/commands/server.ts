// What concerns the program itself: health, version, keys.
import { generateKeyPairSync } from "node:crypto";
import { buildInfo, compatibleVersion } from "../../api/build-info.ts";
import { Health } from "../../api/calls.ts";
import { HealthResponse } from "../../api/messages.ts";
import { CliError } from "../cli-error.ts";
import type { Invocation } from "../invocation.ts";
import { one, plain } from "../output-shapes.ts";
import { notePolicyProblem } from "./policy-problem.ts";

export async function health(run: Invocation): Promise<void> {
  const client = await run.client();
  const response = await client.call(Health, {}, "checking health");
  run.answer(one(HealthResponse, response), "");
  await notePolicyProblem(run);
}

/** Called as headscale, it names the release of headscale that it stands for: scripts compare it. */
export function version(run: Invocation): Promise<void> {
  const info = { ...buildInfo(), ...(run.programName === "headscale" ? { version: compatibleVersion() } : {}) };
  const { version: number, commit, buildTime, go, dirty } = info;
  const lines = [
    `${run.programName} version ${number}`,
    `commit: ${commit}`,
    `build time: ${buildTime}`,
    `built with: ${go.version} ${go.os}/${go.arch}`,
  ];
  run.answer(
    plain(
      { version: number, commit, buildTime, go, dirty },
      { version: number, commit, buildtime: buildTime, go, dirty },
    ),
    lines.join("\n"),
  );
  return Promise.resolve();
}

export function generatePrivateKey(run: Invocation): Promise<void> {
  const { d } = generateKeyPairSync("x25519").privateKey.export({ format: "jwk" });
  if (d === undefined) {
    throw new CliError("this runtime cannot make X25519 keys");
  }
  const key = `privkey:${Buffer.from(d, "base64url").toString("hex")}`;
  run.answer(plain({ private_key: key }), key);
  return Promise.resolve();
}
