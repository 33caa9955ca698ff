import { EngineService, type IEngineServer } from "@pulumi/pulumi/proto/engine_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/engine_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import type { Severity } from "../host";
import type { Journal } from "../journal";
import { method, type RpcServer } from "../protocol/rpc";

const severities: Readonly<Record<proto.LogSeverity, Severity>> = {
  [proto.LogSeverity.DEBUG]: "debug",
  [proto.LogSeverity.INFO]: "info",
  [proto.LogSeverity.WARNING]: "warning",
  [proto.LogSeverity.ERROR]: "error",
};

/** Receives messages of programs and providers. */
export function addEngineService(server: RpcServer, journal: Journal): void {
  let rootResource = "";
  const service: IEngineServer = {
    log: method((request: proto.LogRequest) => {
      log(journal, request);
      return new Empty();
    }),
    setRootResource: method((request: proto.SetRootResourceRequest) => {
      rootResource = request.getUrn();
      return new proto.SetRootResourceResponse();
    }),
    getRootResource: method(() => new proto.GetRootResourceResponse().setUrn(rootResource)),
    startDebugging: method(() => new Empty()),
    requirePulumiVersion: method(() => new proto.RequirePulumiVersionResponse()),
  };
  server.add(EngineService, service);
}

function log(journal: Journal, request: proto.LogRequest): void {
  const severity = severities[request.getSeverity()];
  const message = request.getMessage();
  const urn = request.getUrn();
  if (severity === "debug" || message.trim() === "") return;
  if (request.getEphemeral() && urn !== "") journal.status(urn, message);
  else journal.say({ severity, message: message.trimEnd(), ...(urn !== "" && { urn }) });
}
