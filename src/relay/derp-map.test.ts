import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { DERPMap } from "../wire/tailcfg.ts";
import { createManualClock } from "./clock.ts";
import { createDerpMap, embeddedRegion, mergeRegions, withPolicyRegions } from "./derp-map.ts";
import { parseDerpMap, parsePolicyDerpMap } from "./derp-map-schema.ts";
import type { SourceOutcome } from "./derp-map-sources.ts";

function regions(value: unknown): ReturnType<typeof parseDerpMap>["regions"] {
  return parseDerpMap({ Regions: value }).regions;
}

const oneNode = [{ HostName: "relay.example" }];

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "hawser-derp-map-"));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("headscale's derp.yaml is read as it is", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "derp.yaml");
    await writeFile(
      path,
      "regions:\n  900:\n    regionid: 900\n    regioncode: custom\n    regionname: My Region\n    nodes:\n" +
        "      - name: 900a\n        regionid: 900\n        hostname: derp.example.com\n        ipv4: 198.51.100.1\n" +
        '        ipv6: "2001:db8::1"\n        stunport: 0\n        stunonly: false\n        derpport: 0\n        canport80: true\n',
    );
    const keeper = await createDerpMap({ urls: [], paths: [path], keepFile: join(folder, "kept.json"), refreshMs: 0 });
    assert.deepEqual(keeper.problems(), []);
    assert.deepEqual(keeper.current(), {
      Regions: {
        900: {
          RegionID: 900,
          RegionCode: "custom",
          RegionName: "My Region",
          Nodes: [
            {
              Name: "900a",
              RegionID: 900,
              HostName: "derp.example.com",
              IPv4: "198.51.100.1",
              IPv6: "2001:db8::1",
              CanPort80: true,
            },
          ],
        },
      },
    });
    keeper.close();
  });
});

test("a later source wins per region and null takes a region away", () => {
  const merged = mergeRegions([
    regions({ 1: { RegionCode: "one", Nodes: oneNode }, 2: { RegionCode: "two", Nodes: oneNode } }),
    regions({ 2: { RegionCode: "new", Nodes: oneNode }, 3: { RegionCode: "three", Nodes: oneNode } }),
    regions({ 1: null }),
  ]);
  assert.deepEqual(
    Object.entries(merged.Regions).map(([id, region]) => [id, region.RegionCode]),
    [
      ["2", "new"],
      ["3", "three"],
    ],
  );
});

test("a policy adds regions, replaces them, takes them away, or has only its own", () => {
  const map = mergeRegions([regions({ 1: { Nodes: oneNode }, 2: { Nodes: oneNode } })]);
  const own = { Nodes: [{ HostName: "own.example" }] };
  const hosts = (said: unknown): Record<string, string | undefined> =>
    Object.fromEntries(
      Object.entries(withPolicyRegions(map, said).Regions).map(([id, region]) => [id, region.Nodes[0]?.HostName]),
    );
  assert.equal(withPolicyRegions(map, undefined), map);
  assert.deepEqual(hosts({ Regions: { 2: own, 900: own } }), {
    1: "relay.example",
    2: "own.example",
    900: "own.example",
  });
  assert.deepEqual(hosts({ regions: { "1": null } }), { 2: "relay.example" });
  assert.deepEqual(hosts({ OmitDefaultRegions: true, Regions: { 900: own } }), { 900: "own.example" });
  const whole = { 1: "relay.example", 2: "relay.example" };
  assert.deepEqual(hosts({ OmitDefaultRegions: true }), whole, "none of its own: no effect");
  assert.deepEqual(hosts({ Regions: { 1: null, 2: null } }), whole, "never without a region");
  assert.deepEqual(hosts({ OmitDefaultRegions: true, Regions: { 900: { Nodes: [] } } }), whole, "a bad region is none");
});

test("what is wrong with a policy's regions is named by its place", () => {
  const { problems } = parsePolicyDerpMap({ OmitDefaultRegions: "yes", Regions: { 900: { Nodes: [] } }, Homes: {} });
  assert.deepEqual(
    problems.map(({ key }) => key),
    ["regions.900.nodes", "omitdefaultregions", "homes"],
  );
  assert.deepEqual(parsePolicyDerpMap({ OmitDefaultRegions: true }).problems, []);
});

test("what is wrong is named by its place and costs its region only", () => {
  const { regions, problems } = parseDerpMap({
    regions: {
      1: { nodes: oneNode },
      2: { nodes: [{ hostname: "x", ipv4: "::1", derpport: 70000 }] },
      3: { nodes: [] },
      4: { regionid: 5, nodes: oneNode },
      nope: { nodes: oneNode },
      6: { nodes: [{ hostname: "x", derp_port: 443 }] },
      7: "a relay",
    },
  });
  assert.deepEqual([...regions.keys()], [1, 6]);
  assert.deepEqual(
    problems.map(({ key }) => key),
    [
      "regions.2.nodes.0.ipv4",
      "regions.2.nodes.0.derpport",
      "regions.3.nodes",
      "regions.4.regionid",
      "regions.6.nodes.0.derp_port",
      "regions.7",
      "regions.nope",
    ],
  );
  for (const value of [null, 7, [], { regions: [] }, { regions: "x" }]) {
    assert.equal(parseDerpMap(value).problems.length, 1);
  }
});

test("a URL is fetched with bounds, without redirects, and its failures say why", async () => {
  const server = createServer((req, res) => {
    if (req.url === "/map") {
      res.end(
        JSON.stringify({ Regions: { 9: { RegionID: 9, Nodes: [{ Name: "9a", RegionID: 9, HostName: "nine" }] } } }),
      );
    } else if (req.url === "/moved") {
      res.writeHead(302, { Location: "http://169.254.169.254/" }).end();
    } else if (req.url === "/huge") {
      res.end(Buffer.alloc(2 * 1024 * 1024, 0x20));
    } else if (req.url === "/html") {
      res.end("<html>");
    } else {
      res.writeHead(500).end();
    }
  });
  server.listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await inFolder(async (folder) => {
    const urls = ["/map", "/moved", "/huge", "/html", "/broken"].map((path) => base + path);
    const keeper = await createDerpMap({
      urls: [...urls, "file:///etc/passwd"],
      paths: [join(folder, "missing.yaml")],
      keepFile: join(folder, "kept.json"),
      refreshMs: 0,
      clock: createManualClock(),
    });
    assert.deepEqual(Object.keys(keeper.current().Regions), ["9"]);
    const problems = keeper.problems();
    assert.equal(problems.length, 6);
    assert.match(problems[0] ?? "", /\/moved: redirects to .*: name that address instead/);
    assert.match(problems[1] ?? "", /\/huge: is larger than/);
    assert.match(problems[2] ?? "", /\/html: .*JSON/);
    assert.match(problems[3] ?? "", /\/broken: answered with status 500/);
    assert.match(problems[4] ?? "", /only http and https/);
    assert.match(problems[5] ?? "", /missing\.yaml: ENOENT/);
    keeper.close();
  });
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
});

test("a source that fails keeps what it gave last, also after a restart", async () => {
  await inFolder(async (folder) => {
    const clock = createManualClock();
    const loaded: SourceOutcome = { kind: "loaded", regions: regions({ 5: { Nodes: oneNode } }), problems: [] };
    let outcome: SourceOutcome = loaded;
    const changes: DERPMap[] = [];
    const options = {
      urls: ["https://example.com/map"],
      paths: [],
      keepFile: join(folder, "state", "kept.json"),
      refreshMs: 60_000,
      clock,
      load: () => Promise.resolve(outcome),
      onChange: (map: DERPMap) => void changes.push(map),
    };
    const first = await createDerpMap(options);
    outcome = { kind: "failed", problems: ["https://example.com/map: down"] };
    await first.refresh();
    assert.deepEqual(Object.keys(first.current().Regions), ["5"]);
    assert.deepEqual(first.problems(), ["https://example.com/map: down"]);
    first.close();

    const second = await createDerpMap(options);
    assert.deepEqual(Object.keys(second.current().Regions), ["5"]);
    const calls = changes.length;
    outcome = { kind: "loaded", regions: regions({ 6: { Nodes: oneNode } }), problems: [] };
    clock.advance(10_000);
    await second.refresh();
    assert.deepEqual(Object.keys(second.current().Regions), ["6"], "a failed source is asked again soon");
    assert.equal(changes.length, calls + 1);
    const same = second.current();
    await second.refresh();
    assert.equal(second.current(), same, "a map that did not change is the same object");
    second.close();
  });
});

test("a source that never answers does not hold up the start", async () => {
  await inFolder(async (folder) => {
    const clock = createManualClock();
    const starting = createDerpMap({
      urls: ["https://example.com/map"],
      paths: [],
      embedded: () =>
        embeddedRegion({ serverUrl: "https://h.example", regionId: 999, regionCode: "h", regionName: "H" }),
      keepFile: join(folder, "kept.json"),
      refreshMs: 60_000,
      clock,
      load: () => new Promise(() => undefined),
    });
    for (let i = 0; i < 20; i++) {
      await new Promise((done) => setTimeout(done, 1));
      clock.advance(1_000);
    }
    const keeper = await starting;
    assert.deepEqual(Object.keys(keeper.current().Regions), ["999"]);
    keeper.close();
  });
});

test("the embedded region comes from the server's URL", () => {
  const base = { regionId: 999, regionCode: "hawser", regionName: "Embedded" };
  const node = (embedded: Parameters<typeof embeddedRegion>[0]) => embeddedRegion(embedded).Nodes[0];
  assert.deepEqual(node({ ...base, serverUrl: "https://h.example", stunPort: 3478 }), {
    Name: "999a",
    RegionID: 999,
    HostName: "h.example",
    STUNPort: 3478,
    DERPPort: 443,
  });
  assert.deepEqual(node({ ...base, serverUrl: "https://h.example:8443", ipv4: "192.0.2.1" }), {
    Name: "999a",
    RegionID: 999,
    HostName: "h.example",
    IPv4: "192.0.2.1",
    STUNPort: -1,
    DERPPort: 8443,
  });
  const pinned = { port: 8444, pin: "sha256-raw:ab" };
  assert.deepEqual(node({ ...base, serverUrl: "http://[2001:db8::5]:8080", pinned }), {
    Name: "999a",
    RegionID: 999,
    HostName: "2001:db8::5",
    CertName: "sha256-raw:ab",
    IPv4: "none",
    IPv6: "2001:db8::5",
    STUNPort: -1,
    DERPPort: 8444,
  });
});
