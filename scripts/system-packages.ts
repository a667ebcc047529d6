// System programs that tests need: installed as root on Debian, named elsewhere.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/** Program → Debian package that brings it. */
type Packages = Readonly<Record<string, string>>;

const forClients: Packages = {
  ip: "iproute2",
  iptables: "iptables",
  nginx: "nginx-light",
  openssl: "openssl",
  curl: "curl",
  ping: "iputils-ping",
  ssh: "openssh-client",
};

function isThere(program: string): boolean {
  return ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/bin"].some((folder) =>
    existsSync(`${folder}/${program}`),
  );
}

/** Shells whose completion is tested. */
const shells: Packages = { zsh: "zsh", fish: "fish" };

function missingPrograms(packages: Packages): readonly string[] {
  return Object.keys(packages).filter((program) => !isThere(program));
}

/** What the end-to-end tests need. Installs what is missing where that is possible; the answer names what is still missing. */
export function ensureSystemPackages(): readonly string[] {
  return ensure(forClients);
}

/** The same for shells. */
export function ensureShells(): readonly string[] {
  return ensure(shells);
}

function ensure(wanted: Packages): readonly string[] {
  const missing = missingPrograms(wanted);
  if (missing.length === 0 || process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) {
    return missing;
  }
  const packages = missing.map((program) => wanted[program] ?? program);
  console.error(`Installing system packages: ${packages.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  // Another installation may be under way.
  const install = ["-o", "DPkg::Lock::Timeout=300", "install", "-y", "-qq", "--no-install-recommends", ...packages];
  // The package lists may be missing or old on a fresh machine; a second try comes after a look-up.
  if (spawnSync("apt-get", install, { env, stdio: "ignore" }).status !== 0) {
    spawnSync("apt-get", ["update", "-qq"], { env, stdio: "ignore" });
    spawnSync("apt-get", install, { env, stdio: ["ignore", "ignore", "inherit"] });
  }
  return missingPrograms(wanted);
}
