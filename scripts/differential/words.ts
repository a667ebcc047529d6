// The words that generated policies are made of: right ones, and neighbours of right ones that are wrong or unusual.

export type Value = null | boolean | number | string | readonly Value[] | { readonly [name: string]: Value };

const list = (text: string): readonly string[] => text.split("|");

export const tags = list("tag:server|tag:prod|tag:client|tag:router|tag:exit");
export const groups = list("group:dev|group:ops");
export const hosts = list("webserver|internal|net6");
export const rightPorts = list("*|22|80,443|8000-8100|1-65535|0-10|22,80-90");
export const oddPorts = list(
  "|0|65535|65536|99999999999|22-|-22|-|ssh|22,|,22|80-70| 22|22 |+22|1-2-3|*,22|22,*|0x16|022|0-0|0,22|22-*|*-*|1e3|-1|22,,80|*:*",
);
export const oddNames = [
  ...list(
    "| |bob|tag:|tag:nope|tag:1a|tag:Ünï|TAG:server|tag: server|tag:server | tag:server|group:|group:nope|Group:dev",
  ),
  ...list("autogroup:|autogroup:bogus|autogroup:members|Autogroup:member|autogroup:nonroot|autogroup:self"),
  ...list("autogroup:internet|autogroup:danger-all|autogroup:member|autogroup:tagged|nobody@|nobody@example.com|@"),
  ...list("@example.com|a@b@c|user:*@example.com|user:odin@example.com|10.0.0.0/33|10.0.0.5/8|10.0.0.256|1.2.3"),
  ...list("0.0.0.0/0|::/0|100.64.0.0/10|fe80::1%eth0|10.0.0.1-10.0.0.9|::ffff:10.0.0.1|[::1]|fd7a:115c:a1e0::/48"),
  ...list("2001:db8::1/64|phantom|web server|host:webserver|localpart:*@example.com|*|**|%x%|0|1.2.3.4/"),
];
export const protocols = list(
  "tcp|udp|icmp|TCP|Icmp|ipv6-icmp|icmpv6|igmp|gre|esp|ah|sctp|fc|egp|ipv4|ip-in-ip|igp|6|17|1|58|132|47|255|0|06|256|300|-1|*|| |foo|tcp | tcp|tcp,udp|99999999999|6.0|any|ipv6",
);
export const oddValues: readonly Value[] = [
  null,
  true,
  7,
  "text",
  {},
  [],
  [null],
  [7],
  [[]],
  [""],
  { a: 1 },
  ["x", "x"],
];
export const oddDurations = list("|always|0|0s|1h|168h|168h1s|-1m|abc|10|1d|1.5h|never| 1h");
export const logins = list("root|ubuntu|autogroup:nonroot|localpart:*@example.com");
export const oddLogins = [
  ...list("|*| | root|root |ROOT|autogroup:member|autogroup:Nonroot|tag:server|group:dev|a b|odin@example.com|=|a=b|-"),
  ...list("localpart:*@|localpart:*|localpart:|localpart:odin@example.com|localpart:*@example.com@x|root,ubuntu"),
  ...list("localpart:*@EXAMPLE.com|localpart:*@nowhere.example"),
];
