import { followUnusualChanges } from "./unusual-changes";

followUnusualChanges(10, 17);
followUnusualChanges(18, 18);
