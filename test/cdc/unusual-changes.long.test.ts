import { followUnusualChanges } from "./unusual-changes";

followUnusualChanges(10, 17);
followUnusualChanges(14, 18);
followUnusualChanges(16, 16);
