// Configuration profiles that point Tailscale's Apple apps at this server (protocol §9).
import { escapeHtml } from "./page.ts";

const payloadTypes: ReadonlyMap<string, string> = new Map([
  ["ios", "io.tailscale.ipn.ios"],
  ["macos-app-store", "io.tailscale.ipn.macos"],
  ["macos-standalone", "io.tailscale.ipn.macsys"],
]);

/** The property list, or undefined for a platform that has none. `uuid` gives a fresh one at each call. */
export function appleProfile(platform: string, serverUrl: string, uuid: () => string): string | undefined {
  const payloadType = payloadTypes.get(platform);
  if (payloadType === undefined) {
    return undefined;
  }
  const host = new URL(serverUrl).hostname;
  const identifier = `${host.split(".").reverse().join(".")}.hawser`;
  const pair = (key: string, value: string): string =>
    `<key>${escapeHtml(key)}</key><string>${escapeHtml(value)}</string>`;
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  ${pair("PayloadUUID", uuid())}
  ${pair("PayloadDisplayName", `Tailscale at ${host}`)}
  ${pair("PayloadDescription", `Makes Tailscale use ${serverUrl}`)}
  ${pair("PayloadIdentifier", identifier)}
  <key>PayloadRemovalDisallowed</key><false/>
  ${pair("PayloadType", "Configuration")}
  <key>PayloadVersion</key><integer>1</integer>
  <key>PayloadContent</key>
  <array>
    <dict>
      ${pair("PayloadType", payloadType)}
      ${pair("PayloadUUID", uuid())}
      ${pair("PayloadIdentifier", `${identifier}.${platform}`)}
      <key>PayloadVersion</key><integer>1</integer>
      <key>PayloadEnabled</key><true/>
      ${pair("ControlURL", serverUrl)}
    </dict>
  </array>
</dict>
</plist>
`;
}
