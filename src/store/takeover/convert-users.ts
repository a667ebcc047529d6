// Users and policies of a headscale database. Ids and provider identifiers are kept as they are.
import type { PolicyVersion } from "../../tailnet/contract.ts";
import type { User } from "../../tailnet/model.ts";
import { setByHeadscale } from "../../tailnet/taken-over.ts";
import type { UserId } from "../../wire/ids.ts";
import { idOf, textOf, timeOf } from "./legacy-values.ts";
import type { Row } from "./legacy-values.ts";
import type { Report } from "./report.ts";

export function convertUsers(rows: readonly Row[], report: Report): readonly User[] {
  const byProvider = new Map<string, number>();
  const byLocalName = new Map<string, number>();
  return rows.flatMap((row) => {
    const id = idOf(row["id"]);
    const name = textOf(row["name"]);
    const subject = `user ${id ?? "?"} (${name})`;
    if (id === undefined) {
      report.add("set-aside", subject, "its id is not a positive number");
      return [];
    }
    if (row["deleted_at"] !== null && row["deleted_at"] !== undefined) {
      report.add("set-aside", subject, "was deleted in headscale");
      return [];
    }
    const providerId = textOf(row["provider_identifier"]);
    const index = providerId === "" ? byLocalName : byProvider;
    const unique = providerId === "" ? name : providerId;
    const twin = index.get(unique);
    if (twin !== undefined) {
      report.add(
        "repaired",
        subject,
        `has the same ${providerId === "" ? "name" : "provider identifier"} as user ${twin}; renamed`,
      );
    } else {
      index.set(unique, id);
    }
    if (name === "") {
      report.add("repaired", subject, `had no name; it is now "user-${id}"`);
    }
    const createdAt = timeOf(row["created_at"]) ?? 0;
    return [
      {
        id: id as UserId,
        name: name === "" ? `user-${id}` : twin !== undefined && providerId === "" ? `${name}-${id}` : name,
        displayName: textOf(row["display_name"]),
        email: textOf(row["email"]),
        providerId: twin === undefined ? providerId : "",
        provider: textOf(row["provider"]),
        profilePicUrl: textOf(row["profile_pic_url"]),
        role: "member" as const,
        groups: [],
        createdAt,
      },
    ];
  });
}

/** Every stored version in order; the highest id is in force. Rows with empty text mean "no policy" and are left out. */
export function convertPolicies(rows: readonly Row[], report: Report): readonly PolicyVersion[] {
  return rows
    .flatMap((row) => {
      const id = idOf(row["id"]);
      const text = textOf(row["data"]);
      if (id === undefined || (row["deleted_at"] !== null && row["deleted_at"] !== undefined)) {
        return [];
      }
      if (text.trim() === "") {
        report.add("odd", `policy version ${id}`, "is empty and was left out");
        return [];
      }
      return [{ id, text, setAt: timeOf(row["updated_at"]) ?? timeOf(row["created_at"]) ?? 0, setBy: setByHeadscale }];
    })
    .sort((a, b) => a.id - b.id);
}
