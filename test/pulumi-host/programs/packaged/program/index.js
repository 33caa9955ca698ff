/* eslint-disable @typescript-eslint/no-require-imports -- a plain CommonJS program, run as it is */
/* global exports, process, require */
const pulumi = require("@pulumi/pulumi");

const options = { customTimeouts: { create: "1h30m", delete: "90s" } };
const explicit = new pulumi.ProviderResource("recorded", "mine", { region: "moon" });

class Thing extends pulumi.CustomResource {
  constructor(name, props, opts) {
    super("recorded:index:Thing", name, { size: undefined, ...props }, opts);
  }
}

const thing = new Thing("thing", { token: pulumi.secret("tok-4711") }, options);
const other = new Thing("other", { thing }, { provider: explicit });

exports.directory = process.cwd();
exports.size = thing.size;
exports.otherSize = other.size;
exports.asked = pulumi.runtime.invokeOutput("recorded:index:ask", { question: "why" });
if (new pulumi.Config().get("missing")) new pulumi.CustomResource("absent:index:Thing", "absent", {});
