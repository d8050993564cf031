import { keyValueCases } from "./key-value.case.ts";
import { MemoryKeyValue } from "./memory-key-value.ts";

keyValueCases("memory", async () => ({ open: async () => new MemoryKeyValue() }));
