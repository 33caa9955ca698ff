import assert from "node:assert/strict";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { RawLabConfig } from "../../../lab-stack/config/lab-schema";
import { assertSameContent } from "../../support/content";
import { hostNames } from "../../support/pulumi-cli";
import { until } from "../../support/until";
import { administratorPassword, database, DeployedLab, relations, statusIn, succeeded } from "./deployed-lab";
import { type BuiltImage, buildDockerfile } from "./build-dockerfile";

const name = "example.azurecr.io/pg-migration:0.1.0";
const registry =
  "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/images/providers/Microsoft.ContainerRegistry/registries/example";

describe("lab-stack: the runner's image and its migration", function () {
  this.timeout(900_000);
  let directory: string;
  let image: BuiltImage;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "runner-image-"));
    await chmod(directory, 0o755);
    image = await buildDockerfile(resolve("."), directory);
  });
  after(() => rm(directory, { recursive: true, force: true }));

  it("is slim, and runs the worker as an unprivileged user", () => {
    assert.equal(image.base, "gcr.io/distroless/cc-debian12:nonroot");
    assert.equal(image.user, "65532:65532");
    assert.deepEqual(image.environment, { NODE_ENV: "production" });
    assert.deepEqual(image.entrypoint.slice(1), ["bin/pg-migration.js", "worker"]);
    assert.match(image.entrypoint[0], /\/usr\/local\/bin\/node$/);
    assert.deepEqual(image.command, ["--stay"]);
  });

  for (const hostName of hostNames) {
    describe(`deployed on the ${hostName} host`, () => {
      let lab: DeployedLab;
      before(async () => {
        lab = await DeployedLab.start(hostName, { [name]: image });
      });
      beforeEach(() => lab.beginStack());
      afterEach(() => lab.cleanUp());
      after(() => lab.close());

      it("migrates AdventureWorks online in containers, replaces a killed worker, and is removed in phase run", async () => {
        const { azure, source } = lab;
        const config = (changes: Partial<NonNullable<RawLabConfig["migration"]>> = {}) => ({
          vpn: { enabled: false },
          connectedElsewhere: true,
          protectData: false,
          migration: lab.migration({ worker: "container", runner: { image: name, registry, replicas: 2 }, ...changes }),
        });
        const up = succeeded(await lab.deployment(config()).up());
        assert.equal(statusIn(up).state, "WaitingForUserAction");
        const server = [...azure.cloud.servers.values()][0]!.database;
        const containers = [...azure.cloud.containers.values()];
        const first = statusIn(up).worker.pid!;
        const container = containers.find(({ processIds }) => processIds.includes(first));
        assert(container, "the worker is not a process of a container");
        assert.equal(containers.length, 2);
        const state = await lab.stateText();
        assert(!state.includes(administratorPassword) && !state.includes(source.login.password));
        const logs = containers.map(({ logs }) => logs).join("");
        assert(!logs.includes(administratorPassword) && !logs.includes(source.login.password));
        assert.match(logs, /"migration":"lab-migration","message":"running the migration"/);
        assert.match(logs, /"message":"another worker runs the migration; standing by/);

        process.kill(first, "SIGKILL");
        await until("the container restarts its process", () => container.processIds.length === 2);
        await source.query(
          "INSERT INTO humanresources.department VALUES (17, 'Logistics', 'Inventory Management', DEFAULT)",
          { database },
        );
        let second = first;
        await until("another worker has taken over", async () => {
          const [row] = await server.query<{ pid: number }>(
            "SELECT (worker ->> 'pid')::int AS pid FROM pgmigration.migration",
          );
          second = row!.pid;
          return second !== first;
        });
        assert(containers.some(({ processIds }) => processIds.includes(second)));

        const cutOver = succeeded(await lab.deployment(config({ triggerCutover: true })).up());
        assert.equal(statusIn(cutOver).state, "Succeeded");
        const login = { user: "pgadmin", password: administratorPassword };
        assert.equal(await assertSameContent({ server: source, database }, { server, database, login }), relations);

        succeeded(await lab.deployment({ ...config(), phase: "run" }).up());
        assert.equal(azure.cloud.containers.size, 0);
        succeeded(await lab.deployment({ ...config(), phase: "run" }).destroy());
        assert.deepEqual([...azure.cloud.resources.keys()], []);
      });
    });
  }
});
