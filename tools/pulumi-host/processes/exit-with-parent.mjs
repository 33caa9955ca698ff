import process from "node:process";
import { setInterval } from "node:timers";

// Loaded into a provider's process before its own code. Otherwise a provider would not notice that the host was killed, and
// would never end.
const parent = process.ppid;

setInterval(() => {
  if (process.ppid !== parent) process.exit(1);
}, 1000).unref();
