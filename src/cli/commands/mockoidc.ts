// An OpenID Connect provider for tests of logins, by the variables that headscale's has.
import { parseGoDuration } from "../../config/duration.ts";
import type { MockProviderOptions } from "../../identity/mock-provider/provider.ts";
import { CliError } from "../cli-error.ts";
import type { Invocation } from "../invocation.ts";

/** Serves until somebody stops it. Throws CliError when a variable is missing or wrong, or the address cannot be had. */
export async function mockOidc(run: Invocation): Promise<void> {
  const options = await optionsOf(run);
  const { startMockProvider } = await import("../../identity/mock-provider/provider.ts");
  const provider = await startMockProvider({
    ...options,
    onRequest: (method, path, status) => run.note(`${method} ${path} ${status}`),
  }).catch((fault: unknown) => {
    throw new CliError(`running mock OIDC server: ${fault instanceof Error ? fault.message : String(fault)}`);
  });
  run.note(`mock OpenID Connect provider: ${provider.issuer}`);
  run.note("warning: for tests only; it lets everybody in who reaches it, as whom the list of users says");
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.once(signal, () => resolve());
    }
  });
  await provider.close();
}

async function optionsOf(run: Invocation): Promise<MockProviderOptions> {
  const { env } = run.io;
  const needed = (name: string): string => {
    const text = env[name] ?? "";
    if (text === "") {
      throw new CliError(
        `running mock OIDC server: ${name} not defined; set it in the environment ("${run.programName} mockoidc --help")`,
      );
    }
    return text;
  };
  const clientId = needed("MOCKOIDC_CLIENT_ID");
  const clientSecret = needed("MOCKOIDC_CLIENT_SECRET");
  const host = needed("MOCKOIDC_ADDR");
  const portText = needed("MOCKOIDC_PORT");
  if (!/^\d{1,5}$/.test(portText) || Number(portText) > 65_535) {
    throw new CliError(`running mock OIDC server: MOCKOIDC_PORT must be a port, not ${JSON.stringify(portText)}`);
  }
  const { users, accessTtl } = await optional(env["MOCKOIDC_USERS"] ?? "", env["MOCKOIDC_ACCESS_TTL"] ?? "");
  return { host, port: Number(portText), clientId, clientSecret, users, ...accessTtl };
}

async function optional(usersText: string, ttlText: string) {
  const { readMockUsers } = await import("../../identity/mock-provider/users.ts");
  const read = readMockUsers(usersText === "" ? "[]" : usersText);
  if (!read.ok) {
    throw new CliError(`running mock OIDC server: MOCKOIDC_USERS: ${read.problem}`);
  }
  const accessTtl = ttlText === "" ? undefined : parseGoDuration(ttlText);
  if (ttlText !== "" && (accessTtl === undefined || accessTtl < 1000)) {
    throw new CliError(
      `running mock OIDC server: MOCKOIDC_ACCESS_TTL must be a duration of a second or more, not ${JSON.stringify(ttlText)}`,
    );
  }
  return { users: read.users, accessTtl: accessTtl === undefined ? {} : { accessTtl } };
}
