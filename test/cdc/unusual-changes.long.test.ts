import { followUnusualChanges } from "./unusual-changes";

followUnusualChanges(14, 18);
followUnusualChanges(16, 16);
