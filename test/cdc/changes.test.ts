import { followOrdinaryChanges } from "./ordinary-changes";

followOrdinaryChanges(10, 18, "test_decoding");
followOrdinaryChanges(14, 18, "pgoutput");
