import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();

export const greeting = pulumi.interpolate`hello ${config.requireSecret("name")}`;
export const stack = pulumi.getStack();
export const other = new pulumi.Config("elsewhere").get("key");
