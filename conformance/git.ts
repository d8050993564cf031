import type { Suite } from "./suite.ts";
import { testFiles } from "./test-files.ts";

/** Revisions in real Git repositories: the contract of revision stores, what people commit and push, and a control plane over it. */
export const git: Suite = {
  name: "git",
  waits: true,
  run: () => testFiles("git", ["revisions", "control-plane"]),
};
