import { randomUUID } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import { service, WeftError } from "weftmesh";
import { Users } from "../gen/shop/users/v1/users.ts";
import { cutPage, pageOf } from "../shared/page.ts";

export const USERS_SCHEMA = `
  CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE COLLATE NOCASE) STRICT;
  INSERT OR IGNORE INTO users VALUES
    ('user-1', 'Ada Lovelace', 'ada@example.org'),
    ('user-2', 'Grace Hopper', 'grace@example.org'),
    ('user-3', 'Edsger Dijkstra', 'edsger@example.org');
`;

interface UserRow {
  id: string;
  name: string;
  email: string;
}

export function createUsers(db: DatabaseSync) {
  const byId = db.prepare("SELECT id, name, email FROM users WHERE id = ?");
  const page = db.prepare("SELECT id, name, email FROM users WHERE id > ? ORDER BY id LIMIT ?");
  const insert = db.prepare("INSERT INTO users VALUES (?, ?, ?) ON CONFLICT DO NOTHING");

  return service(Users, {
    getUser({ id }) {
      const row = byId.get(id) as UserRow | undefined;
      if (row === undefined) throw new WeftError("not_found", `there is no user "${id}"`, { reason: "NO_SUCH_USER" });
      return { ...row };
    },

    listUsers(request) {
      const wanted = pageOf(request);
      const { items, nextPageToken } = cutPage(
        page.all(wanted.after, wanted.limit + 1) as unknown as UserRow[],
        wanted,
      );
      return { users: items.map((row) => ({ ...row })), nextPageToken };
    },

    createUser({ name, email }) {
      if (name.trim() === "")
        throw new WeftError("invalid_argument", "name is empty", { reason: "BAD_NAME", place: { field: "name" } });
      if (!/^[^\s@]+@[^\s@]+$/.test(email)) {
        throw new WeftError("invalid_argument", `"${email}" is no e-mail address`, {
          reason: "BAD_EMAIL",
          place: { field: "email" },
        });
      }
      const id = `user-${randomUUID()}`;
      if (insert.run(id, name.trim(), email).changes === 0) {
        throw new WeftError("already_exists", `${email} is taken`, { reason: "EMAIL_TAKEN" });
      }
      return { id, name: name.trim(), email };
    },
  });
}
