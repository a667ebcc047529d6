// Which build this is. The bundler replaces the HAWSER_BUILD_* texts; run from the sources they are unknown.
import packageJson from "../../package.json" with { type: "json" };

/** The release of headscale whose interfaces Hawser speaks. */
const headscaleVersion = "0.29.2";

export interface BuildInfo {
  readonly version: string;
  readonly commit: string;
  readonly buildTime: string;
  readonly go: { readonly version: string; readonly os: string; readonly arch: string };
  readonly dirty: boolean;
}

const archNames: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386" };

/** headscale's keys; what built it is Node. */
export function buildInfo(): BuildInfo {
  return {
    version: packageJson.version,
    commit: process.env["HAWSER_BUILD_COMMIT"] ?? "unknown",
    buildTime: process.env["HAWSER_BUILD_TIME"] ?? "unknown",
    go: {
      version: `node${process.version.slice(1)}`,
      os: process.platform,
      arch: archNames[process.arch] ?? process.arch,
    },
    dirty: false,
  };
}

/**
 * A version for those who decide by headscale's what a server can do, as consoles and scripts do: its release, with our
 * own version behind it in the place of a pre-release.
 */
export function compatibleVersion(): string {
  return `v${headscaleVersion}-hawser.${packageJson.version}`;
}

/** What GET /version answers. */
export function versionDocument(): BuildInfo & { readonly hawser: string } {
  return { ...buildInfo(), version: compatibleVersion(), hawser: packageJson.version };
}
