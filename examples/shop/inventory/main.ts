import { serve } from "weftmesh";
import { openDatabase } from "../shared/database.ts";
import { createInventory, INVENTORY_SCHEMA } from "./service.ts";

const db = openDatabase("inventory", INVENTORY_SCHEMA);
await serve(createInventory(db), { onStop: () => db.close() });
