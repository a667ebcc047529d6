// IP addresses, prefixes, ranges and sets of them. Pure. (contract stub; the room's owner fills it)
/** An IPv4 address as one uint32, an IPv6 address as four; v4-mapped IPv6 is kept as IPv6. */
export type Addr =
  | { readonly family: 4; readonly a: number }
  | { readonly family: 6; readonly a: number; readonly b: number; readonly c: number; readonly d: number };
/** Host bits are kept as given; `mask` clears them. */
export interface Prefix {
  readonly addr: Addr;
  readonly bits: number;
}
