import { writeFileSync } from "node:fs";
import { pagePath, renderPage } from "./render-page.js";

void renderPage().then((page) => writeFileSync(pagePath, page));
