// Users. Error codes are headscale's: most plain mistakes are Unknown (headscale reference §2.5).
import type { User } from "../tailnet/model.ts";
import type { UserId } from "../wire/ids.ts";
import { CreateUser, DeleteUser, ListUsers, RenameUser } from "./calls.ts";
import { operation } from "./operation.ts";
import type { Operation } from "./operation.ts";
import { presentUser } from "./present.ts";
import { answer, refusal, refuse } from "./rpc-error.ts";

const userErrors = { "not-found": "Unknown", conflict: "Unknown", invalid: "Unknown" } as const;

const createUser = operation(CreateUser, async ({ tailnet }, input, { actor }) => {
  const created = await tailnet.createUser(actor, {
    name: input.name,
    displayName: input.displayName,
    email: input.email,
    profilePicUrl: input.pictureUrl,
  });
  if (created.ok) {
    return answer({ user: presentUser(created.value) });
  }
  if (created.error.code === "conflict") {
    // headscale's words first, because existing scripts look for them; then what they mean.
    return refuse("Internal", `creating user: creating user: ${created.error.text}: the name is taken`);
  }
  return refusal(created.error, { invalid: "InvalidArgument" }, "creating user: ");
});

const listUsers = operation(ListUsers, ({ tailnet }, { id, name, email }) => {
  let users: readonly User[] = tailnet.users();
  if (name !== "") {
    users = tailnet.usersByName(name);
  } else if (email !== "") {
    users = users.filter((user) => user.email === email);
  } else if (id !== 0) {
    users = users.filter((user) => user.id === id);
  }
  return answer({ users: users.map(presentUser) });
});

const renameUser = operation(RenameUser, async ({ tailnet }, { oldId, newName }, { actor }) => {
  const renamed = await tailnet.renameUser(actor, oldId as UserId, newName);
  if (renamed.ok) {
    return answer({ user: presentUser(renamed.value) });
  }
  return refusal(renamed.error, userErrors, renamed.error.code === "conflict" ? "updating user: " : "");
});

const deleteUser = operation(DeleteUser, async ({ tailnet }, { id }, { actor }) => {
  const deleted = await tailnet.deleteUser(actor, id as UserId);
  return deleted.ok ? answer({}) : refusal(deleted.error, userErrors);
});

export const userOperations: readonly Operation[] = [createUser, listUsers, renameUser, deleteUser];
