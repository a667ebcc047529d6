// Which clients are served (protocol §7). A capability version above ours is never refused.

/** Tailscale 1.80. */
export const minCapVersion = 113;
/** First version that understands 429 with Retry-After as the answer to register. */
export const retryAfterCapVersion = 137;

/** Lowest capability version of each release, newest first. */
const releases: readonly (readonly [capVersion: number, release: string])[] = [
  [142, "1.102"],
  [141, "1.100"],
  [138, "1.98"],
  [133, "1.96"],
  [131, "1.92"],
  [130, "1.90"],
  [125, "1.88"],
  [122, "1.86"],
  [116, "1.84"],
  [115, "1.82"],
  [113, "1.80"],
  [109, "1.78"],
  [106, "1.74"],
  [104, "1.72"],
  [102, "1.70"],
  [97, "1.68"],
  [95, "1.66"],
];

/** The Tailscale release that a capability version came with, as far as it can be told. */
export function releaseOf(capVersion: number): string {
  const release = releases.find(([first]) => capVersion >= first);
  return release === undefined ? "before v1.66" : `v${release[1]}`;
}

/** The refusal that the user of an old client reads, or undefined when the client is recent enough. */
export function versionRefusal(capVersion: number): string | undefined {
  return capVersion >= minCapVersion
    ? undefined
    : `unsupported client version: ${releaseOf(capVersion)} (${capVersion}); this server needs Tailscale v1.80 or newer`;
}
