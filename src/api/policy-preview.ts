// What a preview of a policy says, as the API and the command line have it.
import { describeProblem } from "../policy/index.ts";
import type { AccessChange, NodeGroup, preview } from "../policy/index.ts";
import type { PolicyAccessChangeValue, PolicyNodeGroupValue, PreviewPolicyValue } from "./own-messages.ts";

export type Preview = Extract<ReturnType<typeof preview>, { readonly ok: true }>;

export function presentPreview(seen: Preview): PreviewPolicyValue {
  return {
    access: seen.access.map(presentChange),
    ssh: seen.ssh.map(presentChange),
    attributes: seen.attributes.map(({ nodes, gained, lost }) => ({ nodes: presentGroup(nodes), gained, lost })),
    pairsGaining: seen.pairsGaining,
    pairsLosing: seen.pairsLosing,
    more: seen.more,
    warnings: seen.warnings.map(describeProblem),
  };
}

function presentChange({ src, dst, ownDevices, gained, lost }: AccessChange): PolicyAccessChangeValue {
  return { src: presentGroup(src), dst: presentGroup(dst), ownDevices, gained, lost };
}

function presentGroup({ count, nodes, users, tags, behind }: NodeGroup): PolicyNodeGroupValue {
  return { count, nodes, users, tags, behind };
}
