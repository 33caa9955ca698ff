/* eslint-disable @typescript-eslint/no-require-imports -- a plain CommonJS program, run as it is */
/* global console, process, require */
// A provider as a plugin of the Pulumi CLI would be one: a gRPC server that prints its port.
const { appendFileSync } = require("node:fs");
const grpc = require("@grpc/grpc-js");
const { Empty } = require("google-protobuf/google/protobuf/empty_pb");
const { Struct } = require("google-protobuf/google/protobuf/struct_pb");
const { ResourceProviderService } = require("@pulumi/pulumi/proto/provider_grpc_pb");
const proto = require("@pulumi/pulumi/proto/provider_pb");

const [log] = process.argv.slice(2);

const method = (name, answer) => (call, respond) => {
  appendFileSync(log, `${JSON.stringify({ method: name, pid: process.pid, request: call.request.toObject() })}\n`);
  respond(null, answer(call.request));
};

const server = new grpc.Server();
server.addService(ResourceProviderService, {
  checkConfig: method("checkConfig", (request) => new proto.CheckResponse().setInputs(request.getNews())),
  configure: method("configure", () => new proto.ConfigureResponse().setAcceptsecrets(true).setSupportspreview(true)),
  check: method("check", (request) => new proto.CheckResponse().setInputs(request.getNews())),
  diff: method("diff", () => new proto.DiffResponse()),
  create: method("create", (request) => {
    const outputs = { ...request.getProperties().toJavaScript(), size: 3 };
    const response = new proto.CreateResponse().setProperties(Struct.fromJavaScript(outputs));
    return request.getPreview() ? response : response.setId(`id-of-${request.getName()}`);
  }),
  delete: method("delete", () => new Empty()),
  invoke: method("invoke", () => new proto.InvokeResponse().setReturn(Struct.fromJavaScript({ because: "so" }))),
  cancel: method("cancel", () => new Empty()),
});
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(port);
});
