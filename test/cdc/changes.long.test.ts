import { followOrdinaryChanges } from "./ordinary-changes";

followOrdinaryChanges(10, 17, "pgoutput");
followOrdinaryChanges(16, 17, "test_decoding");
followOrdinaryChanges(18, 18, "pgoutput");
