import { testInitialCopyLocks } from "./initial-copy-locks";

testInitialCopyLocks("Offline");
