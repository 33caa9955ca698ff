import { ContainerAppsAPIClient } from "@azure/arm-appcontainers";
import { ContainerInstanceManagementClient } from "@azure/arm-containerinstance";
import { NetworkManagementClient } from "@azure/arm-network";
import { PostgreSQLManagementFlexibleServerClient } from "@azure/arm-postgresql-flexible";
import { PrivateDnsManagementClient } from "@azure/arm-privatedns";
import { createHttpHeaders, type HttpClient, type PipelineResponse } from "@azure/core-rest-pipeline";
import { type Properties, text } from "./properties";

export interface SentRequest {
  readonly method: string;
  readonly path: string;
  readonly apiVersion: string | null;
  readonly body: unknown;
}

const subscription = "00000000-0000-0000-0000-000000000001";

/**
 * Records the requests of Microsoft's own SDKs. Their serializers drop unknown properties, so a misspelt or misplaced
 * input is missing from the body.
 */
export class AzureSdk {
  readonly #requests: SentRequest[] = [];
  readonly #options = { httpClient: this.#recorder() };
  readonly #credential = {
    getToken: () => Promise.resolve({ token: "none", expiresOnTimestamp: Date.now() + 3_600_000 }),
  };
  readonly #network = new NetworkManagementClient(this.#credential, subscription, this.#options);
  readonly #containers = new ContainerInstanceManagementClient(this.#credential, subscription, this.#options);
  readonly #apps = new ContainerAppsAPIClient(this.#credential, subscription, this.#options);
  readonly #dns = new PrivateDnsManagementClient(this.#credential, subscription, this.#options);
  readonly #postgresql = new PostgreSQLManagementFlexibleServerClient(this.#credential, subscription, this.#options);

  /** The request that creates a resource. Undefined for a type that these SDKs do not support. */
  async creating(type: string, inputs: Properties): Promise<SentRequest | undefined> {
    // The inputs have azure-native's types. The tests compare them with the SDK's.
    const body = inputs as never;
    const [group, server] = [text(inputs, "resourceGroupName"), text(inputs, "serverName")];
    const [network, dns, postgresql] = [this.#network, this.#dns, this.#postgresql];
    const name = (input: string) => text(inputs, input);
    switch (type) {
      case "network:VirtualNetwork":
        return this.#sent(() => network.virtualNetworks.createOrUpdate(group, name("virtualNetworkName"), body));
      case "network:Subnet":
        return this.#sent(() =>
          network.subnets.createOrUpdate(group, name("virtualNetworkName"), name("subnetName"), body),
        );
      case "network:PublicIPAddress":
        return this.#sent(() => network.publicIPAddresses.createOrUpdate(group, name("publicIpAddressName"), body));
      case "network:NatGateway":
        return this.#sent(() => network.natGateways.createOrUpdate(group, name("natGatewayName"), body));
      case "containerinstance:ContainerGroup":
        return this.#sent(() =>
          this.#containers.containerGroups.beginCreateOrUpdate(group, name("containerGroupName"), body),
        );
      case "app:Job":
        return this.#sent(() => this.#apps.jobs.createOrUpdate(group, name("jobName"), body));
      case "app:ContainerApp":
        return this.#sent(() => this.#apps.containerApps.createOrUpdate(group, name("containerAppName"), body));
      case "app:ManagedEnvironment":
        return this.#sent(() => this.#apps.managedEnvironments.createOrUpdate(group, name("environmentName"), body));
      case "network:VirtualNetworkGateway":
        return this.#sent(() =>
          network.virtualNetworkGateways.createOrUpdate(group, name("virtualNetworkGatewayName"), body),
        );
      case "network:PrivateEndpoint":
        return this.#sent(() => network.privateEndpoints.createOrUpdate(group, name("privateEndpointName"), body));
      case "network:PrivateDnsZoneGroup":
        return this.#sent(() =>
          network.privateDnsZoneGroups.createOrUpdate(
            group,
            name("privateEndpointName"),
            name("privateDnsZoneGroupName"),
            body,
          ),
        );
      case "privatedns:PrivateZone":
        return this.#sent(() => dns.privateZones.createOrUpdate(group, name("privateZoneName"), body));
      case "privatedns:VirtualNetworkLink":
        return this.#sent(() =>
          dns.virtualNetworkLinks.createOrUpdate(group, name("privateZoneName"), name("virtualNetworkLinkName"), body),
        );
      case "dbforpostgresql:Server":
        return this.#sent(() => postgresql.servers.beginCreateOrUpdate(group, server, body));
      case "dbforpostgresql:Configuration":
        return this.#sent(() => postgresql.configurations.beginPut(group, server, name("configurationName"), body));
      case "dbforpostgresql:FirewallRule":
        return this.#sent(() =>
          postgresql.firewallRules.beginCreateOrUpdate(group, server, name("firewallRuleName"), body),
        );
      case "dbforpostgresql:AdministratorsMicrosoftEntra":
        return this.#sent(() =>
          postgresql.administratorsMicrosoftEntra.beginCreateOrUpdate(group, server, name("objectId"), body),
        );
      case "dbforpostgresql:Migration":
        return this.#sent(() => postgresql.migrations.create(group, server, name("migrationName"), body));
      default:
        return undefined;
    }
  }

  startingJob(group: string, job: string): Promise<SentRequest> {
    return this.#sent(() => this.#apps.jobs.start(group, job));
  }

  restarting(group: string, server: string): Promise<SentRequest> {
    return this.#sent(() => this.#postgresql.servers.beginRestart(group, server));
  }

  listingAddresses(group: string, zone: string): Promise<SentRequest> {
    return this.#sent(() => this.#dns.recordSets.listByType(group, zone, "A").next());
  }

  async #sent(send: () => PromiseLike<unknown>): Promise<SentRequest> {
    const before = this.#requests.length;
    await send();
    const sent = this.#requests[before];
    if (!sent) throw new Error("the SDK sent no request");
    return sent;
  }

  #recorder(): HttpClient {
    return {
      sendRequest: (request): Promise<PipelineResponse> => {
        const url = new URL(request.url);
        const body: unknown = typeof request.body === "string" ? JSON.parse(request.body) : undefined;
        this.#requests.push({
          method: request.method,
          path: url.pathname,
          apiVersion: url.searchParams.get("api-version"),
          body,
        });
        const headers = createHttpHeaders({ "content-type": "application/json" });
        const answer = { value: [], properties: {}, ...(body as object | undefined) };
        return Promise.resolve({ request, status: 200, headers, bodyAsText: JSON.stringify(answer) });
      },
    };
  }
}
