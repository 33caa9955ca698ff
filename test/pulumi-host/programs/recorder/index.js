/* eslint-disable @typescript-eslint/no-require-imports -- a plain CommonJS program, run as it is */
/* global exports, process, require, setTimeout */
const pulumi = require("@pulumi/pulumi");

const config = new pulumi.Config();

const record = (log, call) => require("node:fs").appendFileSync(log, JSON.stringify(call) + "\n");

const say = (props) =>
  new Promise((resolve) => {
    if (!props.says) return resolve();
    const { LogRequest } = require("@pulumi/pulumi/proto/engine_pb");
    const { EngineClient } = require("@pulumi/pulumi/proto/engine_grpc_pb");
    const client = new EngineClient(process.argv.at(-1), require("@grpc/grpc-js").credentials.createInsecure());
    const request = new LogRequest().setSeverity(1).setMessage(props.says).setUrn(props.self);
    client.log(request.setEphemeral(true), () =>
      client.log(request.setEphemeral(false), () => {
        client.close();
        resolve();
      }),
    );
  });

const apply = async (call, id, props) => {
  await say(props);
  if (props.crashes) process.kill(process.pid, "SIGKILL");
  while (props.waitsFor && !require("node:fs").existsSync(props.waitsFor))
    await new Promise((resolve) => setTimeout(resolve, 50));
  if (props[`${call}Fails`]) throw new Error(props[`${call}Fails`]);
  if (!props.incomplete) return { ...props, derived: `<${props.value}>` };
  throw Object.assign(new Error("incomplete"), { id, properties: props, reasons: [props.incomplete] });
};

const provider = {
  async check(olds, news) {
    record(news.log, { call: "check", name: news.name, olds, news });
    const failures = news.invalid ? [{ property: "invalid", reason: news.invalid }] : [];
    return { inputs: { ...news, chosen: olds.chosen ?? `${news.name}-${news.key}` }, failures };
  },
  async diff(id, olds, news) {
    record(news.log, { call: "diff", name: news.name, id, olds, news });
    if (news.diffUnknown) return {};
    const replaces = news.key === olds.key ? [] : ["key"];
    const changes = news.diffSame ? false : replaces.length > 0 || news.value !== olds.value;
    return { changes, replaces, deleteBeforeReplace: news.deleteFirst };
  },
  async create(props) {
    record(props.log, { call: "create", name: props.name, props });
    const id = `${props.name}-${props.key}`;
    return { id, outs: await apply("create", id, props) };
  },
  async update(id, olds, news) {
    record(news.log, { call: "update", name: news.name, id, olds, news });
    return { outs: await apply("update", id, news) };
  },
  async read(id, props) {
    record(props.log, { call: "read", name: props.name, id, props });
    const actual = JSON.parse(require("node:fs").readFileSync(props.actual, "utf8"))[props.name];
    if (actual === "fails") throw new Error("the server does not answer");
    if (actual === "gone") return { id: "", props: {} };
    return { id, props: { ...props, ...actual } };
  },
  async delete(id, props) {
    record(props.log, { call: "delete", name: props.name, id, props });
    if (require("node:fs").existsSync(`${props.log}.refuse-deletes`)) throw new Error("it is still in use");
  },
};

class Recorded extends pulumi.dynamic.Resource {
  constructor(name, props, options) {
    const log = `${config.require("directory")}/calls.jsonl`;
    const actual = `${config.require("directory")}/actual.json`;
    super(provider, name, { derived: undefined, chosen: undefined, key: "k", log, actual, name, ...props }, options);
  }
}

class Group extends pulumi.ComponentResource {
  constructor(name, options) {
    super("test:index:Group", name, {}, options);
    this.registerOutputs({ label: `group ${name}` });
  }
}

const made = {};
const named = (name) => name && made[name];

for (const { name, group, props, secrets, takes, options, dependsOn, parent, deletedWith } of config.requireObject(
  "plan",
)) {
  const all = { ...options, parent: named(parent), deletedWith: named(deletedWith), dependsOn: dependsOn?.map(named) };
  const inputs = { ...props };
  for (const [key, value] of Object.entries(secrets ?? {})) inputs[key] = pulumi.secret(value);
  for (const [key, [from, property]] of Object.entries(takes ?? {})) inputs[key] = made[from][property];
  if (inputs.says) inputs.self = pulumi.createUrn(name, "pulumi-nodejs:dynamic:Resource");
  made[name] = group ? new Group(name, all) : new Recorded(name, inputs, all);
  for (const property of props?.exports ?? []) exports[`${name}_${property}`] = made[name][property];
}

// Not thrown: on Node 20 the SDK takes up to a minute to print an error's stack.
if (config.get("fails")) pulumi.log.error(config.get("fails")).then(() => process.exit(1));
exports.password = config.getSecret("password");
