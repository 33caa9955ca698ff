// Builds the manual page from the command itself.
import { writeFileSync } from "node:fs";
import { fileURLToPath, URL } from "node:url";
import { manPage } from "./dist/cli/help/man-page.js";
import { buildProgram } from "./dist/cli/program.js";

writeFileSync(fileURLToPath(new URL("dist/pg-migration.1", import.meta.url)), manPage(buildProgram()));
