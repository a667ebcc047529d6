import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { canonicalAddrPort, decodeMapRequest, decodeRegisterRequest } from "./tailcfg-decode.ts";

const zeros = "0".repeat(64);
const some = "a1".repeat(32);
const bytes = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

/** What a 1.102 client sends the first time, as Go writes it. */
const register = {
  Version: 142,
  NodeKey: `nodekey:${some}`,
  OldNodeKey: `nodekey:${zeros}`,
  NLKey: `nlpub:${some}`,
  Auth: { AuthKey: "tskey-auth-1-2" },
  Expiry: "0001-01-01T00:00:00Z",
  Followup: "",
  Hostinfo: {
    IPNVersion: "1.102.1-t123",
    BackendLogID: some,
    OS: "linux",
    Hostname: "web1",
    GoArch: "amd64",
    Container: false,
    RoutableIPs: null,
    RequestTags: null,
    Services: [
      { Proto: "peerapi4", Port: 1 },
      { Proto: "tcp", Port: 22, Description: "sshd" },
    ],
    NetInfo: null,
    StateEncrypted: true,
  },
  NodeKeySignature: null,
};

test("a first registration reads into the contract, zero values absent and unknown fields kept", () => {
  assert.deepEqual(decodeRegisterRequest(bytes(register)), {
    ok: true,
    value: {
      Version: 142,
      NodeKey: `nodekey:${some}`,
      NLKey: `nlpub:${some}`,
      AuthKey: "tskey-auth-1-2",
      Followup: "",
      Ephemeral: false,
      Hostinfo: {
        IPNVersion: "1.102.1-t123",
        OS: "linux",
        Hostname: "web1",
        GoArch: "amd64",
        StateEncrypted: true,
        Services: [
          { Proto: "peerapi4", Port: 1 },
          { Proto: "tcp", Port: 22, Description: "sshd" },
        ],
        extra: { BackendLogID: some, Container: false },
      },
    },
  });
});

test("a logout's expiry is read in any offset", () => {
  for (const Expiry of ["1970-01-01T00:02:03Z", "1970-01-01T02:02:03+02:00"]) {
    const request = decodeRegisterRequest(bytes({ ...register, Expiry }));
    assert.ok(request.ok);
    assert.equal(request.value.Expiry, 123_000);
  }
});

test("field names count in any case, and upper-case keys become canonical", () => {
  const request = decodeRegisterRequest(
    bytes({ version: 113, NODEKEY: `nodekey:${some.toUpperCase()}`, hostInfo: { hostname: "x" } }),
  );
  assert.ok(request.ok);
  assert.equal(request.value.Version, 113);
  assert.equal(request.value.NodeKey, `nodekey:${some}`);
  assert.deepEqual(request.value.Hostinfo, { Hostname: "x" });
});

test("a map request reads into the contract", () => {
  const request = decodeMapRequest(
    bytes({
      Version: 113,
      Compress: "zstd",
      KeepAlive: true,
      NodeKey: `nodekey:${some}`,
      DiscoKey: `discokey:${zeros}`,
      Stream: true,
      Hostinfo: null,
      Endpoints: ["192.0.2.1:41641", "[2001:DB8::1]:41641", "[fe80::1%eth0]:1", "1.2.3.4:99999", "10.0.0.1:7"],
      EndpointTypes: [1, 2, 3, 4, 5],
    }),
  );
  assert.deepEqual(request, {
    ok: true,
    value: {
      Version: 113,
      Compress: "zstd",
      KeepAlive: true,
      NodeKey: `nodekey:${some}`,
      Stream: true,
      OmitPeers: false,
      ReadOnly: false,
      Endpoints: ["192.0.2.1:41641", "[2001:db8::1]:41641", "10.0.0.1:7"],
      EndpointTypes: [1, 2, 5],
    },
  });
});

test("an endpoint is an address and a port, and nothing else", () => {
  for (const text of [
    "1.2.3.4",
    ":1",
    "1.2.3.4:",
    "[1.2.3.4]:1",
    "2001:db8::1:1",
    "host:1",
    "1.2.3.4:-1",
    "01.2.3.4:1",
    "",
  ]) {
    assert.equal(canonicalAddrPort(text), undefined, text);
  }
  assert.equal(canonicalAddrPort("1.2.3.4:0"), "1.2.3.4:0");
  assert.equal(canonicalAddrPort("[::FFFF:1.2.3.4]:65535"), "[::ffff:1.2.3.4]:65535");
});

test("routes come in canonical form", () => {
  const request = decodeMapRequest(
    bytes({ NodeKey: `nodekey:${some}`, Hostinfo: { RoutableIPs: ["10.0.0.0/8", "2001:DB8::/32", "0.0.0.0/0", ""] } }),
  );
  assert.ok(request.ok);
  assert.deepEqual(request.value.Hostinfo?.RoutableIPs, ["10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0"]);
});

test("what cannot be used is refused with a text that names the field and repeats nothing", () => {
  const host = (Hostinfo: unknown): unknown => ({ NodeKey: `nodekey:${some}`, Hostinfo });
  const many = (count: number, item: unknown): unknown[] => Array.from({ length: count }, () => item);
  const cases: readonly (readonly [unknown, string])[] = [
    [{}, "NodeKey: missing"],
    [{ NodeKey: `nodekey:${zeros}` }, "NodeKey: missing"],
    [{ NodeKey: `mkey:${some}` }, "NodeKey: not a node key"],
    [{ NodeKey: 5 }, "NodeKey: not a text"],
    [{ NodeKey: `nodekey:${some}`, Version: 1.5 }, "Version: not a whole number from 0 to 65535"],
    [{ NodeKey: `nodekey:${some}`, DiscoKey: "disco" }, "DiscoKey: not a disco key"],
    [{ NodeKey: `nodekey:${some}`, Stream: "true" }, "Stream: not a boolean"],
    [host("x"), "Hostinfo: not an object"],
    [host({ OS: 5 }), "Hostinfo.OS: not a text"],
    [host({ Hostname: "x".repeat(1025) }), "Hostinfo.Hostname: too long"],
    [host({ RoutableIPs: ["10.0.0.0/33"] }), "Hostinfo.RoutableIPs: an item is not a prefix"],
    [host({ RoutableIPs: many(4097, "10.0.0.0/8") }), "Hostinfo.RoutableIPs: more than 4096 items"],
    [
      host({ Services: [{ Proto: "tcp", Port: 70_000 }] }),
      "Hostinfo.Services[].Port: not a whole number from 0 to 65535",
    ],
    [host({ NetInfo: { DERPLatency: { "1-v4": "fast" } } }), "Hostinfo.NetInfo.DERPLatency: an entry is not a number"],
    [host({ Unknown: many(20_000, "12345") }), "Hostinfo: larger than 65536 bytes"],
    [host({ Hostname: "a\0b" }), "the body is nested too deeply or holds a text that cannot be kept"],
    [[], "the body is not a JSON object"],
  ];
  for (const [body, error] of cases) {
    assert.deepEqual(decodeMapRequest(bytes(body)), { ok: false, error });
  }
  assert.deepEqual(decodeMapRequest(Buffer.from("{")), { ok: false, error: "the body is not JSON" });
});

test("sixteen levels are read and seventeen are not, however short the text", () => {
  const nested = (levels: number): Buffer =>
    Buffer.from(`{"NodeKey":"nodekey:${some}","X":${"[".repeat(levels - 1)}${"]".repeat(levels - 1)}}`);
  assert.equal(decodeMapRequest(nested(16)).ok, true);
  assert.equal(decodeMapRequest(nested(17)).ok, false);
  // Many objects beside each other are not deep.
  const wide = {
    NodeKey: `nodekey:${some}`,
    Hostinfo: { Services: Array.from({ length: 40 }, () => ({ Proto: "tcp" })) },
  };
  assert.equal(decodeMapRequest(bytes(wide)).ok, true);
});

test("deep nesting is refused, not followed", () => {
  const deep = `{"NodeKey":"nodekey:${some}","X":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
  assert.equal(decodeMapRequest(Buffer.from(deep)).ok, false);
});

test("a busy machine's list of services is cut, but keeps its peer API", () => {
  const listening = Array.from({ length: 2000 }, (_, index) => ({ Proto: "tcp", Port: index + 1 }));
  const Services = [...listening, { Proto: "peerapi4", Port: 4000 }, { Proto: "peerapi6", Port: 4001 }];
  const request = decodeMapRequest(bytes({ NodeKey: `nodekey:${some}`, Hostinfo: { Services } }));
  assert.ok(request.ok);
  const kept = request.value.Hostinfo?.Services ?? [];
  assert.equal(kept.length, 512);
  assert.deepEqual(kept.slice(-2), Services.slice(-2));
});

test("endpoints beyond 128 are dropped", () => {
  const Endpoints = Array.from({ length: 300 }, (_, index) => `10.0.0.1:${index + 1}`);
  const request = decodeMapRequest(bytes({ NodeKey: `nodekey:${some}`, Endpoints }));
  assert.ok(request.ok);
  assert.deepEqual(request.value.Endpoints, Endpoints.slice(0, 128));
});

test("lone surrogates become something that can be written", () => {
  const body = `{"NodeKey":"nodekey:${some}","Hostinfo":{"Hostname":"a\\ud800b"}}`;
  const request = decodeMapRequest(Buffer.from(body));
  assert.ok(request.ok);
  assert.equal(request.value.Hostinfo?.Hostname, "a\ufffdb");
});

test("a field named __proto__ changes no object", () => {
  const body = `{"NodeKey":"nodekey:${some}","Hostinfo":{"__proto__":{"ShieldsUp":true},"constructor":1}}`;
  const request = decodeMapRequest(Buffer.from(body));
  assert.ok(request.ok);
  assert.ok(request.value.Hostinfo !== undefined && !("ShieldsUp" in request.value.Hostinfo));
  assert.deepEqual(request.value.Hostinfo, { extra: { constructor: 1 } });
});

/** A value of any kind where another is expected. */
const anything = fc.jsonValue({ maxDepth: 3 });

test("whatever stands in a field, a request is read or refused", () => {
  const names = [...Object.keys(register), "Endpoints", "EndpointTypes", "DiscoKey", "Stream", "Compress", "TKAHead"];
  const hostNames = [...Object.keys(register.Hostinfo), "sshHostKeys", "Location", "ShieldsUp"];
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(...names), anything), { maxLength: 3 }),
      fc.array(fc.tuple(fc.constantFrom(...hostNames), anything), { maxLength: 3 }),
      (changes, hostChanges) => {
        const Hostinfo = { ...register.Hostinfo, ...Object.fromEntries(hostChanges) };
        const body = bytes({ ...register, Hostinfo, ...Object.fromEntries(changes) });
        for (const result of [decodeRegisterRequest(body), decodeMapRequest(body)]) {
          if (!result.ok) {
            assert.ok(result.error.length < 200);
          }
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("changed bytes of a body are read or refused", () => {
  const body = Buffer.from(bytes(register));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(body.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), (changes) => {
      const changed = Buffer.from(body);
      for (const [at, value] of changes) {
        changed[at] = value;
      }
      const result = decodeRegisterRequest(changed);
      assert.ok(result.ok || result.error.length < 200);
    }),
    { numRuns: 300 },
  );
});
