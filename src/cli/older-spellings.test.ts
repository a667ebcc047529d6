// Spellings of headscale before 0.17 and 0.28 that guides still show: they do what was meant, and stderr names today's.
import assert from "node:assert/strict";
import test from "node:test";
import { createAdminWorld } from "../../test/admin-world.ts";
import type { AdminWorld } from "../../test/admin-world.ts";

async function inWorld(check: (world: AdminWorld) => Promise<void>): Promise<void> {
  const world = await createAdminWorld();
  try {
    await check(world);
  } finally {
    await world.close();
  }
}

test("--namespace and -n mean the user, before the command and after it", () =>
  inWorld(async ({ cli, join }) => {
    await cli("users create infra");
    await cli("users create alice");
    await join(1, 1);
    await join(2, 2);
    for (const words of ["--namespace alice nodes list", "-n alice nodes list", "nodes list -n alice"]) {
      const { code, stdout, stderr } = await cli(`${words} -o json`);
      assert.equal(code, 0, stderr);
      assert.deepEqual(
        (JSON.parse(stdout) as readonly { readonly id: number }[]).map(({ id }) => id),
        [2],
        words,
      );
      assert.match(stderr, /^note: "-(?:n|-namespace)" is called "--user" today\n$/);
    }
    const created = await cli("-n alice preauthkeys create -o json");
    assert.equal((JSON.parse(created.stdout) as { readonly user: { readonly name: string } }).user.name, "alice");
    // Where -n means something else it goes on meaning that.
    assert.deepEqual([(await cli("users list -n alice -o json")).stderr], [""]);
  }));

test("a pre-auth key may stand where its id does", () =>
  inWorld(async ({ cli }) => {
    await cli("users create infra");
    const key = (await cli("preauthkeys create -u 1")).stdout.trim();
    const expired = await cli(`preauthkeys expire ${key} --user infra`);
    assert.deepEqual([expired.code, expired.stdout], [0, "Key expired\n"], expired.stderr);
    assert.match(expired.stderr, /preauthkeys expire --id ID/);
    assert.equal((await cli(`preauthkeys delete ${key}`)).stdout, "Key deleted\n");
    const gone = await cli(`preauthkeys delete ${key}`);
    assert.deepEqual([gone.code, gone.stderr.endsWith(`"preauthkeys list" shows which there are\n`)], [1, true]);
    assert.match((await cli("preauthkeys expire f00df00d")).stderr, /missing --id parameter.*preauthkeys list/);
  }));

test("nodes list --tags does what nodes list does", () =>
  inWorld(async ({ cli }) => {
    assert.deepEqual(await cli("nodes list --tags"), await cli("nodes list"));
    assert.deepEqual(await cli("nodes list -t"), await cli("nodes list"));
  }));
