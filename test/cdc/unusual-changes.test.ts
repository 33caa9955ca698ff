import { followUnusualChanges } from "./unusual-changes";

followUnusualChanges(18, 18);
