#!/usr/bin/env node
// npm links this file when it installs, before anything is compiled, so it is plain CommonJS.
// eslint-disable-next-line @typescript-eslint/no-require-imports, no-undef
require("../dist/bundles/command.js");
