import { writeFile } from "node:fs/promises";
import { pagePath, sourcePlatformsPage } from "./page";

void sourcePlatformsPage().then((text) => writeFile(pagePath, text));
