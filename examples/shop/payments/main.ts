import { serve } from "weftmesh";
import { openDatabase } from "../shared/database.ts";
import { createPayments, PAYMENTS_SCHEMA } from "./service.ts";

const db = openDatabase("payments", PAYMENTS_SCHEMA);
await serve(createPayments(db), { onStop: () => db.close() });
