import * as pulumi from "@pulumi/pulumi";
import { declareLab } from "./lab";
import { readLabConfig } from "./lab-config";

export = () => declareLab(readLabConfig(new pulumi.Config(), pulumi.getStack()));
