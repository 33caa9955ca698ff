import { testInitialCopyLocks } from "./initial-copy-locks";

testInitialCopyLocks("Online");
