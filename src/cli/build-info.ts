// Which build this is. The bundler replaces the HAWSER_BUILD_* texts; run from the sources they are unknown.
import packageJson from "../../package.json" with { type: "json" };

export interface BuildInfo {
  readonly version: string;
  readonly commit: string;
  readonly buildTime: string;
  readonly runtime: string;
  readonly os: string;
  readonly arch: string;
}

const archNames: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386" };

export function buildInfo(): BuildInfo {
  return {
    version: packageJson.version,
    commit: process.env["HAWSER_BUILD_COMMIT"] ?? "unknown",
    buildTime: process.env["HAWSER_BUILD_TIME"] ?? "unknown",
    runtime: `node${process.version.slice(1)}`,
    os: process.platform,
    arch: archNames[process.arch] ?? process.arch,
  };
}
