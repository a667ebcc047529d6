import { CreateUser, DeleteUser, ListUsers, RenameUser } from "../../api/calls.ts";
import { User } from "../../api/messages.ts";
import { SetUserRole } from "../../api/own-calls.ts";
import type { UserValue } from "../../api/messages.ts";
import { CliError } from "../cli-error.ts";
import { tableTime } from "../durations.ts";
import { operandOr } from "../invocation.ts";
import type { Invocation } from "../invocation.ts";
import { oneUser } from "../look-up.ts";
import { many, one, plain, result } from "../output-shapes.ts";
import { renderTable, tableStyle } from "../table.ts";

export async function createUser(run: Invocation): Promise<void> {
  const name = operandOr(run, "missing parameters");
  const { flags } = run;
  const picture = flags.text("picture-url");
  // Relative ones too, as Go parses them.
  if (picture !== "" && !URL.canParse(picture, "https://host.invalid/")) {
    throw new CliError(`invalid picture URL: ${JSON.stringify(picture)} is not a URL`);
  }
  const client = await run.client();
  const input = { name, displayName: flags.text("display-name"), email: flags.text("email"), pictureUrl: picture };
  const { user } = await client.call(CreateUser, input, "creating user");
  run.answer(one(User, user ?? User.unset), "User created");
}

export async function listUsers(run: Invocation): Promise<void> {
  const { flags } = run;
  const id = flags.number("identifier", -1);
  const query = id > 0 ? { id } : flags.given("name") ? { name: flags.text("name") } : { email: flags.text("email") };
  const client = await run.client();
  const { users } = await client.call(ListUsers, query, "listing users");
  run.answer(many(User, users), () => userTable(run, users));
}

function userTable(run: Invocation, users: readonly UserValue[]): string {
  const withRoles = users.some((user) => user.role !== "");
  const rows = users.map((user) => [
    String(user.id),
    user.displayName,
    user.name,
    user.email,
    tableTime(user.createdAt),
    ...(withRoles ? [user.role === "" ? "member" : user.role] : []),
  ]);
  const header = ["ID", "Name", "Username", "Email", "Created", ...(withRoles ? ["Role"] : [])];
  return renderTable(header, rows, tableStyle(run.io));
}

export async function destroyUser(run: Invocation): Promise<void> {
  const client = await run.client();
  noteOperand(run, "users destroy --name");
  const user = await oneUser(client, run.flags, run.operands[0], "destroying user");
  const sure = await run.confirm(
    `Do you want to remove the user "${user.name}" (${user.id}) and any associated preauthkeys?`,
  );
  if (!sure) {
    run.answer(result("User not destroyed"), "User not destroyed");
    return;
  }
  await client.call(DeleteUser, { id: user.id }, "destroying user");
  run.answer(plain({}), "User destroyed");
}

export async function renameUser(run: Invocation): Promise<void> {
  const { flags, operands } = run;
  const [first, second] = operands;
  const positional = operands.length === 2;
  const newName = flags.text("new-name") || (positional ? (second ?? "") : "");
  if (newName === "") {
    throw new CliError('required flag(s) "new-name" not set');
  }
  if (positional) {
    run.note("note: today's spelling is: users rename --name OLD --new-name NEW");
  }
  const client = await run.client();
  const user = await oneUser(client, flags, positional ? first : undefined, "renaming user");
  const renamed = await client.call(RenameUser, { oldId: user.id, newName }, "renaming user");
  run.answer(one(User, renamed.user ?? User.unset), "User renamed");
}

export async function setUserRole(run: Invocation): Promise<void> {
  const client = await run.client();
  const user = await oneUser(client, run.flags, run.operands[0], "setting role");
  const changed = await client.call(SetUserRole, { id: user.id, role: run.flags.text("role") }, "setting role");
  run.answer(one(User, changed.user ?? User.unset), "User updated");
}

function noteOperand(run: Invocation, today: string): void {
  if (run.operands[0] !== undefined) {
    run.note(`note: today's spelling is: ${today} ${run.operands[0]}`);
  }
}
