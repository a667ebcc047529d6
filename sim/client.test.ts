import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { SimClient, type SimOptions } from "./client.ts";
import { fetchServerKey } from "./dial.ts";
import { scriptedControl, type ScriptedControl, type ScriptedRequest } from "./scripted-control.test-data.ts";

const success = {
  User: { ID: 1, DisplayName: "u" },
  Login: { ID: 1, Provider: "", LoginName: "u", DisplayName: "u" },
  NodeKeyExpired: false,
  MachineAuthorized: true,
  AuthURL: "",
  NodeKeySignature: null,
  Error: "",
};
const self = { ID: 1, StableID: "n1", Name: "a.x.", User: 1, Key: "nodekey:1", Addresses: ["100.64.0.1/32"] };

function client(context: TestContext, control: ScriptedControl, options: Partial<SimOptions> = {}): SimClient {
  const made = new SimClient({ url: control.url, serverPublic: control.serverPublic, hostname: "sim", ...options });
  context.after(() => made.close());
  return made;
}

function json(request: ScriptedRequest | undefined): Record<string, unknown> {
  return JSON.parse(request?.body.toString("utf8") ?? "null") as Record<string, unknown>;
}

test("the server's key is fetched, and a registration arrives under the machine's key", async (context) => {
  const control = await scriptedControl(context);
  control.onRequest = (request) => request.reply(200, success);
  const serverPublic = await fetchServerKey(control.url, 142);
  assert.deepEqual(Buffer.from(serverPublic), Buffer.from(control.serverPublic));
  const sim = client(context, control);
  await sim.join({ authKey: "secret" });
  const [request] = control.requests;
  assert.equal(request?.machineKey, sim.machineKeyText);
  assert.equal(request.head.path, "/machine/register");
  const body = json(request);
  assert.equal(body["NodeKey"], sim.nodeKeyText);
  assert.deepEqual(body["Auth"], { AuthKey: "secret" });
});

test("an early payload is passed over, also when it looks for a long time as if there were none", async (context) => {
  const control = await scriptedControl(context);
  const json = '{"nodeKeyChallenge":"chalpub:00"}';
  const early = Buffer.concat([Buffer.from("ffffff545300000000", "hex"), Buffer.from(json)]);
  early.writeUInt32BE(json.length, 5);
  control.earlyPayload = early;
  control.onRequest = (request) => request.reply(200, success);
  const sim = client(context, control);
  await sim.join({});
  assert.deepEqual((await sim.connect()).earlyPayload, { nodeKeyChallenge: "chalpub:00" });
});

test("an expired key is replaced, and the next registration names the old one", async (context) => {
  const control = await scriptedControl(context);
  control.onRequest = (request) => request.reply(200, { ...success, NodeKeyExpired: control.requests.length === 1 });
  const sim = client(context, control);
  const first = sim.nodeKeyText;
  await sim.join({});
  assert.equal(json(control.requests[1])["OldNodeKey"], first);
  assert.notEqual(json(control.requests[1])["NodeKey"], first);
});

test("errors and requests for a person end a join", async (context) => {
  const control = await scriptedControl(context);
  const sim = client(context, control);
  control.onRequest = (request) => request.reply(200, { ...success, Error: "no such key" });
  await assert.rejects(sim.join({}), /no such key/);
  control.onRequest = (request) => request.reply(200, { ...success, AuthURL: "https://x/register/1" });
  await assert.rejects(sim.join({}), /a person must visit/);
  control.onRequest = (request) => request.reply(500, "broken");
  await assert.rejects(sim.join({}), /http 500: broken/);
});

test("the map follows its messages, keep-alives apart", async (context) => {
  const control = await scriptedControl(context);
  const sim = client(context, control);
  control.onRequest = (request) => {
    const stream = request.stream();
    stream.send({ KeepAlive: true });
    stream.send({ Node: self, Peers: [{ ...self, ID: 2 }] });
    stream.send({ PeersChangedPatch: [{ NodeID: 2, DERPRegion: 4 }] });
    stream.end();
  };
  let ended: (error: Error | undefined) => void = () => {};
  const end = new Promise<Error | undefined>((done) => (ended = done));
  const times: number[] = [];
  const netmap = await sim.openMap({ onMessage: ({ at }) => times.push(at), onEnd: ended });
  assert.match((await end)?.message ?? "", /the server ended the map stream/);
  assert.equal(netmap.peers.get(2)?.HomeDERP, 4);
  assert.equal(sim.meter.messages, 3);
  assert.equal(sim.meter.keepAlives, 1);
  assert.equal(times.length, 3);
  assert.equal(json(control.requests[0])["Stream"], true);
});

test("a refused map says why", async (context) => {
  const control = await scriptedControl(context);
  control.onRequest = (request) => request.reply(404, "unknown node");
  await assert.rejects(client(context, control).openMap(), /initial fetch failed 404: unknown node/);
});

test("a followed map comes back after the connection was lost", async (context) => {
  const control = await scriptedControl(context);
  const sim = client(context, control);
  control.onRequest = (request) => request.stream().send({ Node: self, Domain: `${control.requests.length}` });
  let seen = 0;
  const twice = new Promise<void>((done) => {
    void sim.follow({
      onMessage() {
        seen++;
        if (seen === 1) {
          setImmediate(() => control.drop());
        } else {
          setImmediate(done);
        }
      },
    });
  });
  await twice;
  assert.equal(sim.netmap.domain, "2");
  assert.equal(sim.meter.connections, 2);
  assert.equal(sim.meter.streamsLost, 1);
});

test("pings are answered once each: HEAD, and c2n with the whole response text", async (context) => {
  const control = await scriptedControl(context);
  const sim = client(context, control);
  const answered: ScriptedRequest[] = [];
  let got: () => void = () => {};
  const both = new Promise<void>((done) => (got = done));
  control.onRequest = (request) => {
    if (request.head.path === "/machine/map") {
      const stream = request.stream();
      const payload = Buffer.from("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi").toString("base64");
      stream.send({ Node: self });
      const head = { URL: "https://unused/machine/ping?id=1", URLIsNoise: true };
      stream.send({ KeepAlive: true, PingRequest: head });
      stream.send({ KeepAlive: true, PingRequest: head });
      stream.send({
        PingRequest: { URL: "https://unused/machine/c2n/2", URLIsNoise: true, Types: "c2n", Payload: payload },
      });
      return;
    }
    answered.push(request);
    request.reply(200, "");
    if (answered.length === 2) {
      got();
    }
  };
  await sim.openMap();
  await both;
  const [head, c2n] = answered.sort((a, b) => (a.head.method < b.head.method ? -1 : 1));
  assert.equal(`${head?.head.method} ${head?.head.path}`, "HEAD /machine/ping?id=1");
  assert.equal(`${c2n?.head.method} ${c2n?.head.path}`, "POST /machine/c2n/2");
  assert.equal(c2n?.body.toString(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
});

test("a lite update tells endpoints and NetInfo, and keeps them for the next", async (context) => {
  const control = await scriptedControl(context);
  control.onRequest = (request) => request.reply(200, "");
  const sim = client(context, control);
  await sim.update({ endpoints: ["192.0.2.1:41641"], netInfo: { PreferredDERP: 900 } });
  await sim.update();
  for (const request of control.requests) {
    const body = json(request);
    assert.equal(body["OmitPeers"], true);
    assert.equal(body["Stream"], undefined);
    assert.deepEqual(body["Endpoints"], ["192.0.2.1:41641"]);
  }
});

test("a server that shakes hands with another key is not talked to", async (context) => {
  const [control, other] = [await scriptedControl(context), await scriptedControl(context)];
  const sim = client(context, control, { serverPublic: other.serverPublic });
  await assert.rejects(sim.join({}), /closed during the handshake|ECONNRESET/);
});

test("closing ends the map without an error", async (context) => {
  const control = await scriptedControl(context);
  control.onRequest = (request) => request.stream().send({ Node: self });
  const sim = client(context, control);
  const events: (Error | undefined)[] = [];
  await sim.openMap({ onEnd: (error) => events.push(error) });
  const connection = await sim.connect();
  const closed = new Promise<void>((done) => (connection.onClosed = () => done()));
  sim.close();
  await closed;
  assert.deepEqual(events, [undefined]);
  await assert.rejects(sim.connect(), /closed/);
});
