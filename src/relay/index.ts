// What the rest of the house uses of the relay.
export { systemClock, type RelayClock } from "./clock.ts";
export { createRelayCounters, type RelayCounters } from "./counters.ts";
export { createDerpMap, embeddedRegion, type DerpMapKeeper, type EmbeddedRegion } from "./derp-map.ts";
export { createDerpServer, type DerpServer, type DerpServerOptions } from "./derp-server.ts";
export { createRelayHttp, type RelayHttpHandler, type RelayHttpOptions } from "./http.ts";
export type { RelayLog } from "./log.ts";
export { createStunServer, type StunServer } from "./stun-server.ts";
export { createTlsListener, type TlsListener } from "./tls-listener.ts";
export { isDerpPath } from "./upgrade.ts";
