// What the server takes over from what a node tells of itself (protocol §4.1).
import type { Hostinfo } from "../wire/tailcfg.ts";
import { isZeroKey } from "../wire/ids.ts";
import type { PresencePatch } from "./contract.ts";
import type { Presence } from "./model.ts";

/** The presence after the patch; the same object when nothing changed. `lastSeen` is not touched. */
export function adoptPatch(before: Presence, patch: PresencePatch): Presence {
  const hostinfo = patch.hostinfo === undefined ? before.hostinfo : adoptHostinfo(before.hostinfo, patch.hostinfo);
  const homeDerp = hostinfo.NetInfo?.PreferredDERP || before.homeDerp;
  const discoKey = patch.discoKey === undefined || isZeroKey(patch.discoKey) ? before.discoKey : patch.discoKey;
  const endpoints =
    patch.endpoints === undefined || sameTexts(before.endpoints, patch.endpoints) ? before.endpoints : patch.endpoints;
  const capVersion = patch.capVersion ?? before.capVersion;
  return hostinfo === before.hostinfo &&
    homeDerp === before.homeDerp &&
    discoKey === before.discoKey &&
    endpoints === before.endpoints &&
    capVersion === before.capVersion
    ? before
    : { hostinfo, discoKey, endpoints, homeDerp, capVersion, lastSeen: before.lastSeen };
}

/** The new hostinfo with the NetInfo of before where the client left it out; the object of before when they say the same. */
function adoptHostinfo(before: Hostinfo, after: Hostinfo): Hostinfo {
  const full =
    after.NetInfo === undefined && before.NetInfo !== undefined ? { ...after, NetInfo: before.NetInfo } : after;
  return sameJson(before, full) ? before : full;
}

/** Do two hostinfos say the same, their NetInfo apart? */
export function sameHostinfoForPeers(left: Hostinfo, right: Hostinfo): boolean {
  if (left === right) {
    return true;
  }
  const { NetInfo: _left, ...leftRest } = left;
  const { NetInfo: _right, ...rightRest } = right;
  return sameJson(leftRest, rightRest);
}

export function sameTexts(left: readonly string[], right: readonly string[]): boolean {
  return left === right || (left.length === right.length && left.every((text, i) => text === right[i]));
}

/** Equality of JSON-like values; an absent field equals undefined, the order of fields does not count. */
export function sameJson(left: unknown, right: unknown): boolean {
  if (left === right) {
    return true;
  }
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) {
    return false;
  }
  if (Array.isArray(left) || Array.isArray(right)) {
    return (
      Array.isArray(left) &&
      Array.isArray(right) &&
      left.length === right.length &&
      left.every((item, i) => sameJson(item, right[i]))
    );
  }
  return sameFields(left, right) && sameFields(right, left, true);
}

function sameFields(left: object, right: object, onlyMissing = false): boolean {
  for (const [key, value] of Object.entries(left)) {
    const other: unknown = Object.hasOwn(right, key) ? Reflect.get(right, key) : undefined;
    if (onlyMissing ? other === undefined && value !== undefined : !sameJson(value, other)) {
      return false;
    }
  }
  return true;
}
