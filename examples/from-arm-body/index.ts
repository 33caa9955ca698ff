import * as pulumi from "@pulumi/pulumi";
import { PgMigration } from "pulumi-pg-migration";

const config = new pulumi.Config();

// The body that `az postgres flexible-server migration create --properties` takes. It can also be read from a JSON file;
// take the passwords from the configuration then.
const migration = PgMigration.fromArm("fromarmbody", {
  properties: {
    SourceDBServerResourceId: pulumi.interpolate`${config.require("sourceHost")}:${config.require("sourcePort")}@${config.require("sourceUser")}`,
    SecretParameters: {
      AdminCredentials: {
        SourceServerPassword: config.requireSecret("sourcePassword"),
        TargetServerPassword: config.requireSecret("targetPassword"),
      },
      targetServerUserName: config.require("targetUser"),
    },
    targetDbServerResourceId: `${config.require("targetHost")}:${config.require("targetPort")}@${config.require("targetUser")}`,
    DBsToMigrate: config.requireObject<string[]>("dbsToMigrate"),
    OverwriteDBsInTarget: "True",
    MigrationMode: "Offline",
  },
});

export const status = migration.currentStatus;
export const connection = migration.targetConnection;
