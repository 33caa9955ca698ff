import { writeAfterTheSnapshot } from "./late-writes";

writeAfterTheSnapshot(10);
