import { serve } from "weftmesh";
import { openDatabase } from "../shared/database.ts";
import { createProducts, PRODUCTS_SCHEMA } from "./service.ts";

// One program for both versions: `weft up` says which one an instance is.
const db = openDatabase("products", PRODUCTS_SCHEMA);
await serve(createProducts(db, process.env.WEFT_VERSION || "v1"), { onStop: () => db.close() });
