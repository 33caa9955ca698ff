import { restoreRichSchema } from "./round-trip";

restoreRichSchema(18, 18);
