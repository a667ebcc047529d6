// IP addresses, prefixes, ranges and sets of them. Pure: also used in browsers.
export type { Addr } from "./addr.ts";
export {
  addrAdd,
  addrKey,
  addrNext,
  addrPrev,
  addrToBigInt,
  addrV4,
  addrV6,
  compareAddr,
  equalAddr,
  formatAddr,
  isV4,
  isV6,
  parseAddr,
} from "./addr.ts";
export type { Prefix } from "./prefix.ts";
export {
  comparePrefix,
  equalPrefix,
  exitRouteV4,
  exitRouteV6,
  formatPrefix,
  hostPrefix,
  isExitRoute,
  maskPrefix,
  parsePrefix,
  parsePrefixOrAddr,
  prefixContains,
  prefixCovers,
  prefixFirst,
  prefixLast,
  prefixOverlaps,
} from "./prefix.ts";
export type { AddrRange } from "./range.ts";
export { equalRange, formatRange, parseRange, prefixToRange, rangesToPrefixes, rangeToPrefixes } from "./range.ts";
export { IpSet, IpSetBuilder } from "./set.ts";
