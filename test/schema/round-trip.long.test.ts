import { restoreRichSchema } from "./round-trip";

restoreRichSchema(10, 17);
restoreRichSchema(14, 18);
