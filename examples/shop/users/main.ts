import { serve } from "weftmesh";
import { openDatabase } from "../shared/database.ts";
import { createUsers, USERS_SCHEMA } from "./service.ts";

const db = openDatabase("users", USERS_SCHEMA);
await serve(createUsers(db), { onStop: () => db.close() });
